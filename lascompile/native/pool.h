/* The threads of a library: they belong to the process, and serve every thread that calls.
 *
 * C11, Linux on x86-64 and aarch64. All functions may be called from any number of threads at once.
 */
#ifndef LASCOMPILE_POOL_H
#define LASCOMPILE_POOL_H

#include <stdint.h>

#define LASCOMPILE_EXPORT __attribute__((visibility("default")))

/* Layout and meaning of TVM's TVMParallelGroupEnv (tvm/runtime/c_backend_api.h). */
typedef struct {
  void *sync_handle;
  int32_t num_task;
} lascompile_task_group;

/* One of `group->num_task` parts of a parallel loop; the parts may run in any order, at once or one after the other.
 * Returns 0, or what the launch shall return. */
typedef int (*lascompile_task)(int task_id, lascompile_task_group *group, void *data);

/* Begins a call of the network on the calling thread: what it launches until lascompile_pool_leave runs on at most
 * `threads` threads, itself included, and on no more than the CPUs that it may use. 0 asks for the default
 * (lascompile_pool_default). Calls at the same time share the threads: each launch gets what the other calling threads
 * leave, and at least its own one. May be nested; the outermost number counts. */
LASCOMPILE_EXPORT void lascompile_pool_enter(int threads);
LASCOMPILE_EXPORT void lascompile_pool_leave(void);

/* Runs a parallel loop and returns when all its parts are done: 0, or what the first of them returned that failed;
 * then parts that had not begun are left out. `num_task` 0 lets the pool choose how many parts there are. Outside of
 * enter and leave the default number of threads is used. This is TVM's TVMBackendParallelLaunch. */
LASCOMPILE_EXPORT int lascompile_pool_launch(lascompile_task task, void *data, int num_task);

/* Threads of a launch outside of enter and leave, and of an enter of 0; 0 means the CPUs that the caller may use. */
LASCOMPILE_EXPORT void lascompile_pool_default(int threads);

/* Threads of the pool that exist now, callers not counted. They come when they are first needed and go when nothing was
 * launched for seconds. */
LASCOMPILE_EXPORT int lascompile_pool_workers(void);

/* Ends the pool's threads and waits for them; the next launch makes new ones. Happens by itself when the library is
 * unloaded. */
LASCOMPILE_EXPORT void lascompile_pool_stop(void);

#endif
