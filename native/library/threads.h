/* A stream's worker threads: a picture's rows, shared out. */
#ifndef EH_THREADS_H
#define EH_THREADS_H

#include "../passes.h"

typedef struct eh_threads eh_threads;

/* Work on rows first <= row < last; `thread` is 0 for the caller's thread, and less than the number of threads. */
typedef void eh_row_work(void *context, integer first, integer last, int thread);

/* `count` threads, the caller's included; null where they cannot be had. */
eh_threads *eh_threads_start(int count);
void eh_threads_stop(eh_threads *threads);
int eh_threads_count(const eh_threads *threads);

/* The processors that this process may use, at most 8. */
int eh_processors(void);

/* Call `work` for bands that together cover `rows` rows, and return when all are done. */
void eh_share_rows(eh_threads *threads, eh_row_work *work, void *context, integer rows, integer band);

#endif
