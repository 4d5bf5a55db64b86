/* Loops for the pool, as generated code has them: a task takes its share of the turns. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"

typedef struct {
  int turns, length;
  double *sums;
} rows;

static int add_rows(int id, lascompile_task_group *group, void *data) {
  rows *work = data;
  int share = (work->turns + group->num_task - 1) / group->num_task;
  for (int turn = id * share; turn < (id + 1) * share && turn < work->turns; turn++)
    for (int i = 0; i < work->length; i++) work->sums[turn] += 1.0 / (1 + turn + i);
  return 0;
}

int test_rows(int turns, int length, int launches) {
  int wrong = 0;
  double *sums = calloc(turns, sizeof(double)), *expected = calloc(turns, sizeof(double));
  lascompile_task_group all = {NULL, 1};
  rows mine = {turns, length, sums}, reference = {turns, length, expected};
  for (int i = 0; i < launches; i++) {
    wrong += lascompile_pool_launch(add_rows, &mine, 0) != 0;
    add_rows(0, &all, &reference);
    wrong += memcmp(sums, expected, turns * sizeof(double)) != 0;
  }
  free(sums), free(expected);
  return wrong;
}

static int fail_at(int id, lascompile_task_group *group, void *data) {
  (void)group;
  return id == *(int *)data ? 7 : 0;
}

int test_failing(int task) { return lascompile_pool_launch(fail_at, &task, 16); }

static int launch_inside(int id, lascompile_task_group *group, void *data) {
  (void)id, (void)group;
  atomic_fetch_add((atomic_int *)data, test_rows(37, 50, 3));
  return 0;
}

int test_nested(void) {
  atomic_int wrong = 0;
  int code = lascompile_pool_launch(launch_inside, &wrong, 8);
  return code + wrong;
}

typedef struct {
  atomic_int *times;
} once;

static int count_once(int id, lascompile_task_group *group, void *data) {
  (void)group;
  atomic_fetch_add(&((once *)data)->times[id], 1);
  return 0;
}

int test_parts(int num_task) {
  atomic_int *times = calloc(num_task, sizeof(atomic_int));
  once work = {times};
  lascompile_pool_launch(count_once, &work, num_task);
  int ran = 0;
  for (int i = 0; i < num_task; i++) ran = times[i] > 1 || ran < 0 ? -1 : ran + times[i];
  free(times);
  return ran;
}

typedef struct {
  atomic_int inside, most;
  int microseconds;
} gathering;

static int be_inside(int id, lascompile_task_group *group, void *data) {
  (void)id, (void)group;
  gathering *work = data;
  int now = atomic_fetch_add(&work->inside, 1) + 1, most = work->most;
  while (most < now && !atomic_compare_exchange_weak(&work->most, &most, now)) {
  }
  usleep(work->microseconds);
  atomic_fetch_sub(&work->inside, 1);
  return 0;
}

int test_gather(int num_task, int microseconds) {
  gathering work = {.microseconds = microseconds};
  lascompile_pool_launch(be_inside, &work, num_task);
  return work.most;
}

static int sleep_first(int id, lascompile_task_group *group, void *data) {
  (void)group;
  if (id == 0) usleep(*(int *)data);
  return 0;
}

int test_uneven(int microseconds) { return lascompile_pool_launch(sleep_first, &microseconds, 8); }

extern int (*__TVMBackendParallelBarrier)(int, lascompile_task_group *);

static int wait_for_all(int id, lascompile_task_group *group, void *data) {
  (void)data;
  return __TVMBackendParallelBarrier(id, group);
}

int test_barrier(void) { return lascompile_pool_launch(wait_for_all, NULL, 4); }
