/* A stream's worker threads. They sleep on a condition between calls; bands of rows are taken by whoever is free. */
#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* sched_getaffinity */
#endif
#include "threads.h"

#include <stdlib.h>

#if defined(_WIN32)
#include <windows.h>
typedef SRWLOCK mutex;
typedef CONDITION_VARIABLE condition;
typedef HANDLE thread;
#define WORKER static DWORD WINAPI
#define WORKER_END 0
static void mutex_start(mutex *m) { InitializeSRWLock(m); }
static void mutex_stop(mutex *m) { (void)m; }
static void lock(mutex *m) { AcquireSRWLockExclusive(m); }
static void unlock(mutex *m) { ReleaseSRWLockExclusive(m); }
static void condition_start(condition *c) { InitializeConditionVariable(c); }
static void condition_stop(condition *c) { (void)c; }
static void wait_for(condition *c, mutex *m) { SleepConditionVariableSRW(c, m, INFINITE, 0); }
static void wake_all(condition *c) { WakeAllConditionVariable(c); }
static int begin(thread *t, LPTHREAD_START_ROUTINE run, void *context) {
    return (*t = CreateThread(0, 0, run, context, 0, 0)) != 0;
}
static void end(thread t) {
    WaitForSingleObject(t, INFINITE);
    CloseHandle(t);
}
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>
typedef pthread_mutex_t mutex;
typedef pthread_cond_t condition;
typedef pthread_t thread;
#define WORKER static void *
#define WORKER_END 0
static void mutex_start(mutex *m) { pthread_mutex_init(m, 0); }
static void mutex_stop(mutex *m) { pthread_mutex_destroy(m); }
static void lock(mutex *m) { pthread_mutex_lock(m); }
static void unlock(mutex *m) { pthread_mutex_unlock(m); }
static void condition_start(condition *c) { pthread_cond_init(c, 0); }
static void condition_stop(condition *c) { pthread_cond_destroy(c); }
static void wait_for(condition *c, mutex *m) { pthread_cond_wait(c, m); }
static void wake_all(condition *c) { pthread_cond_broadcast(c); }
/* The host's signals are for the host's threads. */
static int begin(thread *t, void *(*run)(void *), void *context) {
    sigset_t every, before;
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    const int failed = pthread_create(t, 0, run, context);
    pthread_sigmask(SIG_SETMASK, &before, 0);
    return failed == 0;
}
static void end(thread t) { pthread_join(t, 0); }
#endif

enum { MOST = 8 };

typedef struct {
    eh_threads *all;
    int number;
    thread handle;
} worker;

struct eh_threads {
    int count; /* the caller's included */
    worker workers[MOST];
    mutex guard;
    condition work_is_there, work_is_done;
    int leaving, busy; /* busy: workers within a band */
    eh_row_work *work; /* null: nothing to do */
    void *context;
    integer next, rows, band;
};

/* Take bands until there are none; called, and returns, with the lock held. */
static void drain(eh_threads *all, int number) {
    while (all->next < all->rows) {
        eh_row_work *work = all->work;
        void *context = all->context;
        const integer first = all->next, last = smaller(first + all->band, all->rows);
        all->next = last;
        all->busy++;
        unlock(&all->guard);
        work(context, first, last, number);
        lock(&all->guard);
        all->busy--;
    }
}

WORKER run(void *context) {
    worker *self = (worker *)context;
    eh_threads *all = self->all;
    lock(&all->guard);
    while (!all->leaving) {
        if (all->next < all->rows) {
            drain(all, self->number);
            if (all->busy == 0) wake_all(&all->work_is_done);
        } else {
            wait_for(&all->work_is_there, &all->guard);
        }
    }
    unlock(&all->guard);
    return WORKER_END;
}

int eh_processors(void) {
    long count = 1;
#if defined(_WIN32)
    count = (long)GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
#else
    count = sysconf(_SC_NPROCESSORS_ONLN);
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) count = CPU_COUNT(&set);
#endif
#endif
    return count < 1 ? 1 : count > MOST ? MOST : (int)count;
}

eh_threads *eh_threads_start(int count) {
    eh_threads *all = (eh_threads *)calloc(1, sizeof *all);
    if (!all) return 0;
    mutex_start(&all->guard);
    condition_start(&all->work_is_there);
    condition_start(&all->work_is_done);
    all->count = 1;
    for (int i = 1; i < count && i < MOST; i++) {
        worker *next = &all->workers[i];
        next->all = all;
        next->number = i;
        if (!begin(&next->handle, run, next)) break; /* fewer threads do the work too */
        all->count++;
    }
    return all;
}

void eh_threads_stop(eh_threads *all) {
    if (!all) return;
    lock(&all->guard);
    all->leaving = 1;
    wake_all(&all->work_is_there);
    unlock(&all->guard);
    for (int i = 1; i < all->count; i++) end(all->workers[i].handle);
    condition_stop(&all->work_is_done);
    condition_stop(&all->work_is_there);
    mutex_stop(&all->guard);
    free(all);
}

int eh_threads_count(const eh_threads *all) { return all->count; }

void eh_share_rows(eh_threads *all, eh_row_work *work, void *context, integer rows, integer band) {
    if (rows <= 0) return;
    if (all->count == 1 || rows <= band) {
        work(context, 0, rows, 0);
        return;
    }
    lock(&all->guard);
    all->work = work;
    all->context = context;
    all->next = 0;
    all->rows = rows;
    all->band = band;
    wake_all(&all->work_is_there);
    drain(all, 0);
    while (all->busy > 0) wait_for(&all->work_is_done, &all->guard);
    all->rows = all->next = 0;
    unlock(&all->guard);
}
