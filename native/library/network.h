/* ONNX Runtime: found and loaded at run time, and the models that run in it. */
#ifndef EH_NETWORK_H
#define EH_NETWORK_H

#include "internal.h"

#include "../third_party/onnxruntime/onnxruntime_c_api.h"

enum { EH_MOST_DIMENSIONS = 4 };

typedef struct {
    const OrtApi *api;
    OrtEnv *environment;
    OrtMemoryInfo *memory; /* the processor's */
    char version[32];
} eh_runtime;

/* A model with the tensors that it reads and writes, which are memory of ours. */
typedef struct {
    const eh_runtime *runtime;
    OrtSession *session;
    const char *names_in[2], *names_out[1];
    int inputs;
    OrtValue *in[2], *out;
    float *data_in[2], *data_out;
    eh_memory floats;
    char name[256]; /* what to call it in a message */
} eh_session;

eh_status eh_runtime_open(eh_runtime *runtime, const eh_options *options, eh_message *message);
void eh_runtime_close(eh_runtime *runtime);

/* Load a model of a graph: "transform" or "matte". `contract` is the version it must say, or null. */
eh_status eh_session_open(eh_session *session, const eh_runtime *runtime, const char *path, const void *bytes,
                          size_t size, const char *graph, const char *contract, int threads, eh_message *message);
void eh_session_close(eh_session *session);

/* Give a session its tensors, of shape (1, channels, rows, columns) each; the last is the output. */
eh_status eh_session_shape(eh_session *session, const int64_t (*shapes)[EH_MOST_DIMENSIONS], eh_message *message);

/* Run it on what data_in holds; the result is in data_out. */
eh_status eh_session_run(eh_session *session, eh_message *message);

#endif
