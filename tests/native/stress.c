/* Uses the pool from several threads at once, as a program that a sanitizer watches. */
#include <pthread.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool.h"

int test_rows(int turns, int length, int launches);
int test_nested(void);

enum { CALLERS = 6, ROUNDS = 20 };

static void *call(void *argument) {
  int threads = 1 + (int)(intptr_t)argument % 3, wrong = 0;
  for (int round = 0; round < ROUNDS; round++) {
    lascompile_pool_enter(threads);
    wrong += test_rows(40, 30, 50);
    lascompile_pool_leave();
    wrong += test_rows(3, 30, 10);
    if (round % 5 == 0) lascompile_pool_stop();
  }
  return (void *)(intptr_t)(wrong + test_nested());
}

int main(void) {
  pthread_t callers[CALLERS];
  intptr_t wrong = 0;
  for (intptr_t i = 0; i < CALLERS; i++) pthread_create(&callers[i], NULL, call, (void *)i);
  for (int i = 0; i < CALLERS; i++) {
    void *result;
    pthread_join(callers[i], &result);
    wrong += (intptr_t)result;
  }
  lascompile_pool_stop();
  pid_t child = fork();
  if (child == 0) {
    int code = test_rows(40, 30, 50) != 0;
    lascompile_pool_stop();
    _exit(code);
  }
  int status;
  waitpid(child, &status, 0);
  return wrong != 0 || status != 0;
}
