/* A thread pool in which nobody waits for a thread that has lost its CPU.
 *
 * A parallel loop is cut into tasks, which lie in lanes, one for each thread that takes part. A thread takes tasks from
 * its own lane, so that from loop to loop it meets the data that its cache holds, and then from the others': the caller
 * does what no other thread has begun. Results do not depend on who does what, since a task writes rows of its own.
 *
 * Who waits spins for some microseconds, while that has paid lately, and sleeps on a futex then. A caller that sleeps
 * leaves its CPU to a worker that was pushed off its own.
 *
 * All state lies in memory that a forked child finds zeroed (MADV_WIPEONFORK), and all zeros are the state in which
 * nothing was started yet: a child has a pool of its own, whatever the parent's threads were doing.
 */
#define _GNU_SOURCE
#include "pool.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
  MOST_THREADS = 256,
  MOST_CALLERS = 32,      /* calls at the same time that may use workers; others run on the calling thread alone */
  TASKS_PER_THREAD = 4,   /* for loops with more turns than threads: what one thread leaves, another can take */
  SPINS_PER_LOOK = 32,    /* at the clock */
  LONGEST_SPIN_NS = 100 * 1000,
  MEASURING_SPIN_NS = 2 * 1000 * 1000,
  SHORTEST_SPIN_NS = 2 * 1000,
  IDLE_S = 10,            /* after which a worker ends */
  STACK_BYTES = 8 << 20,
  LINE = 64,
  LARGEST_PAGE = 1 << 16,
};

typedef struct {
  _Alignas(LINE) atomic_int left; /* tasks that nobody has begun */
} lane;

/* A thread that calls the network, and the loop that it has launched. A worker reads the loop's description only after
 * it took one of its tasks: until that is done the loop cannot end, and the description cannot change. */
typedef struct {
  _Alignas(LINE) atomic_uintptr_t owner; /* pthread_self() of the caller, 0 if the place is free */
  int depth, threads, spin_ns;           /* the caller's own */
  bool launching;
  lascompile_task task;
  void *data;
  int num_task, width;
  atomic_int error;
  _Alignas(LINE) atomic_int open; /* the width while there may be tasks to take, else 0 */
  _Alignas(LINE) atomic_uint pending; /* tasks that are not done */
  atomic_int asleep;                  /* whether the caller sleeps on `pending` */
  lane lanes[MOST_THREADS];
} caller;

typedef struct {
  pthread_t thread;
  bool joinable;
} worker;

typedef struct {
  _Alignas(LINE) atomic_uint launches; /* counts them; workers wait for it to change */
  _Alignas(LINE) atomic_int sleepers;  /* workers that sleep on it */
  atomic_int callers, alive;           /* workers 0 … alive - 1 exist */
  atomic_bool stopping;
  pid_t process; /* for kernels that do not zero the memory */
  pthread_mutex_t lock; /* held to start and end workers */
  worker workers[MOST_THREADS];
  caller slots[MOST_CALLERS];
} pool;

/* Goes with the library when that is unloaded, and begins at a page of its own, which can be wiped. */
static char memory[sizeof(pool) + 2 * LARGEST_PAGE];
static pool *shared;
static bool wiped_by_fork;
static atomic_int default_threads, longest_spin_ns = LONGEST_SPIN_NS;

static long now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000L + time.tv_nsec;
}

static inline void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ __volatile__("isb" ::: "memory"); /* longer than `yield`, which most cores skip */
#endif
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static void futex_wait(atomic_uint *word, unsigned value, const struct timespec *until, unsigned bits) {
  syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until, NULL, bits);
}

static void futex_wake(atomic_uint *word, int threads, unsigned bits) {
  syscall(SYS_futex, word, FUTEX_WAKE_BITSET_PRIVATE, threads, NULL, NULL, bits);
}

/* Spins until `*word` is another one than `value`, for `*spin_ns` at most; whether it is. */
static bool spin(atomic_uint *word, unsigned value, int spin_ns, long since) {
  for (;;) {
    for (int i = 0; i < SPINS_PER_LOOK; i++) {
      if (atomic_load_explicit(word, memory_order_acquire) != value) return true;
      relax();
    }
    if (now_ns() - since > spin_ns) return false;
  }
}

/* How long to spin next time: as long as pays if the wait that began at `since` was short, else half as long. */
static int learn(int spin_ns, long since) {
  int longest = atomic_load_explicit(&longest_spin_ns, memory_order_relaxed);
  if (now_ns() - since < longest) return longest;
  return spin_ns / 2 < SHORTEST_SPIN_NS ? SHORTEST_SPIN_NS : spin_ns / 2;
}

/* --- tasks ------------------------------------------------------------------------------------------------------- */

/* Runs tasks of `from` until all are begun: those of lane `mine` first. How many it ran. */
static unsigned take_tasks(caller *from, int mine, int width) {
  unsigned done = 0;
  for (int i = 0; i < width; i++) {
    int place = (mine + i) % width;
    atomic_int *left = &from->lanes[place].left;
    while (atomic_load_explicit(left, memory_order_relaxed) > 0) {
      int taken = atomic_fetch_sub_explicit(left, 1, memory_order_acquire);
      if (taken <= 0) break;
      int in_lane = (from->num_task - place + from->width - 1) / from->width;
      lascompile_task_group group = {from, from->num_task};
      done++;
      if (atomic_load_explicit(&from->error, memory_order_relaxed)) continue;
      int code = from->task(place + (in_lane - taken) * from->width, &group, from->data);
      int none = 0;
      if (code) atomic_compare_exchange_strong(&from->error, &none, code);
    }
  }
  if (done && atomic_fetch_sub(&from->pending, done) == done && atomic_load(&from->asleep))
    futex_wake(&from->pending, 1, FUTEX_BITSET_MATCH_ANY);
  return done;
}

static void wait_for_others(caller *me) {
  long since = now_ns();
  unsigned pending;
  while ((pending = atomic_load_explicit(&me->pending, memory_order_acquire)) != 0) {
    if (spin(&me->pending, pending, me->spin_ns, since)) continue;
    atomic_store(&me->asleep, 1);
    while ((pending = atomic_load(&me->pending)) != 0) futex_wait(&me->pending, pending, NULL, FUTEX_BITSET_MATCH_ANY);
    atomic_store(&me->asleep, 0);
  }
  me->spin_ns = learn(me->spin_ns, since);
}

static int run_alone(lascompile_task task, void *data, int num_task) {
  lascompile_task_group group = {NULL, num_task > 0 ? num_task : 1};
  for (int id = 0; id < group.num_task; id++) {
    int code = task(id, &group, data);
    if (code) return code;
  }
  return 0;
}

static int run_shared(caller *me, lascompile_task task, void *data, int num_task, int width) {
  me->task = task, me->data = data, me->num_task = num_task, me->width = width;
  atomic_store_explicit(&me->error, 0, memory_order_relaxed);
  atomic_store_explicit(&me->pending, num_task, memory_order_relaxed);
  for (int place = 0; place < width; place++)
    atomic_store_explicit(&me->lanes[place].left, (num_task - place + width - 1) / width, memory_order_release);
  atomic_store_explicit(&me->open, width, memory_order_release);
  atomic_fetch_add(&shared->launches, 1);
  if (atomic_load(&shared->sleepers))
    futex_wake(&shared->launches, width - 1, width > 32 ? FUTEX_BITSET_MATCH_ANY : (1u << (width - 1)) - 1);
  me->launching = true;
  take_tasks(me, 0, width);
  atomic_store_explicit(&me->open, 0, memory_order_relaxed);
  wait_for_others(me);
  me->launching = false;
  return atomic_load_explicit(&me->error, memory_order_relaxed);
}

/* --- workers ----------------------------------------------------------------------------------------------------- */

/* Helps every caller that wants this worker, `index`; whether there was anything to do. */
static bool help(int index) {
  bool helped = false;
  for (int i = 0; i < MOST_CALLERS; i++) {
    caller *slot = &shared->slots[(index + i) % MOST_CALLERS]; /* workers begin with different ones */
    int width = atomic_load_explicit(&slot->open, memory_order_acquire);
    if (width > index + 1 && take_tasks(slot, index + 1, width)) helped = true;
  }
  return helped;
}

/* Whether worker `index`, the last one, may end, since nothing was launched for long. */
static bool retire(int index, unsigned seen) {
  if (pthread_mutex_trylock(&shared->lock)) return false; /* workers are being started or ended */
  bool last = atomic_load(&shared->alive) == index + 1 && atomic_load(&shared->launches) == seen;
  if (last) atomic_store(&shared->alive, index);
  pthread_mutex_unlock(&shared->lock);
  return last;
}

/* Until something is launched; false when the worker shall end. */
static bool wait_for_launch(int index, unsigned seen, int *spin_ns) {
  long since = now_ns();
  if (spin(&shared->launches, seen, *spin_ns, since)) return true;
  struct timespec until = {since / 1000000000L + IDLE_S, since % 1000000000L};
  atomic_fetch_add(&shared->sleepers, 1);
  futex_wait(&shared->launches, seen, &until, 1u << index % 32);
  atomic_fetch_sub(&shared->sleepers, 1);
  *spin_ns = learn(*spin_ns, since);
  return now_ns() - since < IDLE_S * 1000000000L || !retire(index, seen);
}

static void *work(void *argument) {
  int index = (int)(intptr_t)argument, spin_ns = LONGEST_SPIN_NS;
  cpu_set_t cpus;
  /* The process's CPUs, not those of the one thread that happened to call first. */
  if (!sched_getaffinity(getpid(), sizeof cpus, &cpus)) sched_setaffinity(0, sizeof cpus, &cpus);
  prctl(PR_SET_NAME, "lascompile");
  for (;;) {
    unsigned seen = atomic_load(&shared->launches);
    if (atomic_load(&shared->stopping)) return NULL; /* callers do what is left */
    if (!help(index) && !wait_for_launch(index, seen, &spin_ns)) return NULL;
  }
}

/* The signals of the process are for threads of its own, but for those that a fault raises where it happens. */
static void keep_signals_off(sigset_t *before) {
  sigset_t kept;
  sigfillset(&kept);
  for (const int *fault = (const int[]){SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, 0}; *fault; fault++)
    sigdelset(&kept, *fault);
  pthread_sigmask(SIG_SETMASK, &kept, before);
}

/* Workers 0 … count - 1; fewer if the system has no more threads, then the callers do more themselves. Waits for nobody:
 * a worker whose task launches a loop comes here too, while another thread may hold the lock until that worker ends. */
static void start_workers(int count) {
  if (atomic_load_explicit(&shared->alive, memory_order_acquire) >= count) return;
  if (pthread_mutex_trylock(&shared->lock)) return;
  sigset_t before;
  keep_signals_off(&before);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  for (int index = atomic_load(&shared->alive); index < count; index++) {
    worker *next = &shared->workers[index];
    if (next->joinable) pthread_join(next->thread, NULL);
    next->joinable = !pthread_create(&next->thread, &attributes, work, (void *)(intptr_t)index);
    if (!next->joinable) break;
    atomic_store(&shared->alive, index + 1);
  }
  pthread_attr_destroy(&attributes);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_mutex_unlock(&shared->lock);
}

/* --- callers ----------------------------------------------------------------------------------------------------- */

static caller *slot_of(uintptr_t thread) {
  for (caller *slot = shared->slots; slot < shared->slots + MOST_CALLERS; slot++)
    if (atomic_load_explicit(&slot->owner, memory_order_relaxed) == thread) return slot;
  return NULL;
}

static int usable_cpus(void) {
  cpu_set_t cpus;
  return sched_getaffinity(0, sizeof cpus, &cpus) ? MOST_THREADS : CPU_COUNT(&cpus);
}

/* A place for the calling thread, or NULL if all are taken. */
static caller *join(int threads) {
  if (!wiped_by_fork && shared->process != getpid()) {
    memset(shared, 0, sizeof *shared);
    shared->process = getpid();
  }
  uintptr_t self = (uintptr_t)pthread_self();
  caller *me = slot_of(self);
  for (int i = 0; !me && i < MOST_CALLERS; i++) {
    uintptr_t nobody = 0;
    if (atomic_compare_exchange_strong(&shared->slots[i].owner, &nobody, self)) me = &shared->slots[i];
  }
  if (!me || me->depth++) return me;
  if (threads <= 0) threads = atomic_load(&default_threads);
  int cpus = usable_cpus();
  if (threads <= 0 || threads > cpus) threads = cpus;
  me->threads = threads > MOST_THREADS ? MOST_THREADS : threads;
  if (!me->spin_ns) me->spin_ns = LONGEST_SPIN_NS;
  atomic_fetch_add(&shared->callers, 1);
  start_workers(me->threads - 1);
  return me;
}

static void part(caller *me) {
  if (!me || --me->depth) return;
  atomic_fetch_sub(&shared->callers, 1);
  atomic_store_explicit(&me->owner, 0, memory_order_release);
}

void lascompile_pool_enter(int threads) { join(threads); }

void lascompile_pool_leave(void) {
  part(slot_of((uintptr_t)pthread_self()));
}

int lascompile_pool_launch(lascompile_task task, void *data, int num_task) {
  caller *me = join(0);
  /* Threads that call at the same time need a CPU each: no worker may take it from them. */
  int width = me ? me->threads - atomic_load_explicit(&shared->callers, memory_order_relaxed) + 1 : 1;
  if (num_task <= 0) num_task = width * TASKS_PER_THREAD;
  bool alone = width <= 1 || num_task == 1 || me->launching;
  int code = alone ? run_alone(task, data, num_task) : run_shared(me, task, data, num_task, width);
  part(me);
  return code;
}

void lascompile_pool_default(int threads) { atomic_store(&default_threads, threads); }

int lascompile_pool_workers(void) { return atomic_load(&shared->alive); }

void lascompile_pool_stop(void) {
  if (!wiped_by_fork && shared->process != getpid()) return;
  pthread_mutex_lock(&shared->lock);
  atomic_store(&shared->stopping, true);
  atomic_fetch_add(&shared->launches, 1);
  futex_wake(&shared->launches, MOST_THREADS, FUTEX_BITSET_MATCH_ANY);
  for (worker *each = shared->workers; each < shared->workers + MOST_THREADS; each++) {
    if (each->joinable) pthread_join(each->thread, NULL);
    each->joinable = false;
  }
  atomic_store(&shared->alive, 0);
  atomic_store(&shared->stopping, false);
  pthread_mutex_unlock(&shared->lock);
}

/* --- the library comes and goes ---------------------------------------------------------------------------------- */

__attribute__((constructor)) static void load(void) {
  uintptr_t page = sysconf(_SC_PAGESIZE);
  shared = (pool *)(((uintptr_t)memory + page - 1) / page * page);
  wiped_by_fork = !madvise(shared, (sizeof(pool) + page - 1) / page * page, MADV_WIPEONFORK);
  shared->process = getpid();
}

__attribute__((destructor)) static void unload(void) { lascompile_pool_stop(); }

/* --- TVM's generated code ---------------------------------------------------------------------------------------- */

static int no_barrier(int task_id, lascompile_task_group *group) {
  (void)task_id, (void)group;
  return -1; /* tasks run one after the other: one that waited for the others would wait for ever */
}

/* Generated code calls through these. Each of its objects has weak ones of its own, which these replace, and hidden
 * they are not found by TVM's loader, which would point them to its own pool. */
#define REPLACES_TVMS __attribute__((visibility("hidden")))
REPLACES_TVMS int (*__TVMBackendParallelLaunch)(lascompile_task, void *, int) = lascompile_pool_launch;
REPLACES_TVMS int (*__TVMBackendParallelBarrier)(int, lascompile_task_group *) = no_barrier;

/* The start of TVMFFIAny, whose second word is an integer (tvm/ffi/c_api.h of apache-tvm-ffi). */
typedef struct {
  int64_t type, integer;
} tvm_value;

/* For who has the library through TVM, on a board through its server, and only measures kernels: they run on so many
 * threads from now on, and workers stay awake while caches are emptied, as they are in the midst of a network. */
LASCOMPILE_EXPORT int __tvm_ffi_lascompile_pool_measure(void *self, const tvm_value *arguments, int32_t count, void *result) {
  (void)self, (void)result;
  if (count != 1) return -1;
  atomic_store(&longest_spin_ns, MEASURING_SPIN_NS);
  lascompile_pool_default((int)arguments[0].integer);
  return 0;
}
