#if !defined(_WIN32) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE /* dladdr */
#endif
#include "network.h"

#include <stdio.h>

#if defined(_WIN32)
#include <windows.h>
static const char *const NAMES[] = {"onnxruntime.dll"};
#else
#include <dlfcn.h>
#if defined(__APPLE__)
static const char *const NAMES[] = {"libonnxruntime.dylib", "libonnxruntime.1.dylib"};
#else
static const char *const NAMES[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
#endif
#endif

enum { API_WANTED = 17, LONGEST_PATH = 4096 };

/* The library file -------------------------------- */

typedef const OrtApiBase *(ORT_API_CALL *get_base)(void);

#if defined(_WIN32)
static int wide(const char *text, wchar_t *target, int size) {
    return MultiByteToWideChar(CP_UTF8, 0, text, -1, target, size) > 0;
}

static get_base base_of(HMODULE library) {
    return library ? (get_base)(void *)GetProcAddress(library, "OrtGetApiBase") : 0;
}

static get_base load(const char *path, char *reason, size_t size) {
    wchar_t name[LONGEST_PATH];
    get_base found = wide(path, name, LONGEST_PATH) ? base_of(LoadLibraryW(name)) : 0;
    if (!found) snprintf(reason, size, "%.400s: error %lu", path, (unsigned long)GetLastError());
    return found;
}

static get_base loaded_already(void) { return base_of(GetModuleHandleW(L"onnxruntime.dll")); }

static int own_folder(char *folder, size_t size) {
    HMODULE here;
    wchar_t path[LONGEST_PATH];
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            (LPCWSTR)(void *)&own_folder, &here) ||
        !GetModuleFileNameW(here, path, LONGEST_PATH) ||
        !WideCharToMultiByte(CP_UTF8, 0, path, -1, folder, (int)size, 0, 0))
        return 0;
    char *slash = strrchr(folder, '\\');
    if (slash) slash[1] = 0;
    return slash != 0;
}

static FILE *open_file(const char *path) {
    wchar_t name[LONGEST_PATH];
    return wide(path, name, LONGEST_PATH) ? _wfopen(name, L"rb") : 0;
}
#else
static get_base base_of(void *library) { return (get_base)dlsym(library, "OrtGetApiBase"); }

/* It stays loaded to the end of the process: ONNX Runtime does not bear being unloaded. */
static get_base load(const char *path, char *reason, size_t size) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    get_base found = library ? base_of(library) : 0;
    if (!found) {
        const char *why = dlerror();
        snprintf(reason, size, "%.500s", why ? why : path);
    }
    return found;
}

static get_base loaded_already(void) { return base_of(RTLD_DEFAULT); }

static int own_folder(char *folder, size_t size) {
    Dl_info found;
    if (!dladdr((void *)&own_folder, &found) || !found.dli_fname || strlen(found.dli_fname) >= size) return 0;
    strcpy(folder, found.dli_fname);
    char *slash = strrchr(folder, '/');
    if (slash) slash[1] = 0;
    return slash != 0;
}

static FILE *open_file(const char *path) { return fopen(path, "rb"); }
#endif

static get_base look_for(const eh_options *options, eh_message *message) {
    char reason[512] = "", folder[LONGEST_PATH], path[LONGEST_PATH + 64];
    const char *named = options->onnxruntime_path;
    if (!named || !*named) named = getenv("EDGE_HARMONY_ONNXRUNTIME");
    if (named && *named) {
        get_base found = load(named, reason, sizeof reason);
        if (!found) eh_fail(message, EH_ERROR_RUNTIME, "ONNX Runtime cannot be loaded: %s (check the path)", reason);
        return found;
    }
    get_base found = loaded_already();
    const int beside = own_folder(folder, sizeof folder);
    for (size_t i = 0; !found && beside && i < sizeof NAMES / sizeof *NAMES; i++) {
        snprintf(path, sizeof path, "%s%s", folder, NAMES[i]);
        found = load(path, reason, sizeof reason);
    }
    for (size_t i = 0; !found && i < sizeof NAMES / sizeof *NAMES; i++) found = load(NAMES[i], reason, sizeof reason);
    if (!found)
        eh_fail(
            message, EH_ERROR_RUNTIME,
            "ONNX Runtime was not found: %s (name its library in onnxruntime_path or in EDGE_HARMONY_ONNXRUNTIME, or "
            "put it beside this library)",
            reason);
    return found;
}

/* Calls of its API -------------------------------- */

static eh_status failed(const OrtApi *api, OrtStatus *status, eh_message *message, const char *doing) {
    eh_fail(message, EH_ERROR_RUNTIME, "%s: %.600s", doing, api->GetErrorMessage(status));
    api->ReleaseStatus(status);
    return EH_ERROR_RUNTIME;
}

eh_status eh_runtime_open(eh_runtime *runtime, const eh_options *options, eh_message *message) {
    const OrtApiBase *base = (const OrtApiBase *)options->onnxruntime_api_base;
    if (!base) {
        get_base found = look_for(options, message);
        if (!found) return EH_ERROR_RUNTIME;
        base = found();
    }
    snprintf(runtime->version, sizeof runtime->version, "%s", base->GetVersionString());
    runtime->api = base->GetApi(API_WANTED);
    if (!runtime->api)
        return eh_fail(message, EH_ERROR_RUNTIME, "ONNX Runtime %s is too old (use 1.17 or later)", runtime->version);
    OrtStatus *status = runtime->api->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "edge_harmony", &runtime->environment);
    if (!status) status = runtime->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &runtime->memory);
    return status ? failed(runtime->api, status, message, "ONNX Runtime cannot be started") : EH_OK;
}

void eh_runtime_close(eh_runtime *runtime) {
    if (!runtime->api) return;
    if (runtime->memory) runtime->api->ReleaseMemoryInfo(runtime->memory);
    if (runtime->environment) runtime->api->ReleaseEnv(runtime->environment);
    runtime->memory = 0;
    runtime->environment = 0;
}

static void *read_file(const char *path, size_t *size, eh_message *message) {
    FILE *file = open_file(path);
    if (!file) {
        eh_fail(message, EH_ERROR_MODEL, "%s cannot be opened (check the path; models are .onnx files)", path);
        return 0;
    }
    void *bytes = 0;
    long length = fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    if (length > 0 && fseek(file, 0, SEEK_SET) == 0) bytes = malloc((size_t)length);
    if (bytes && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = 0;
    }
    fclose(file);
    if (!bytes) eh_fail(message, EH_ERROR_MODEL, "%s cannot be read (it is empty, or no file)", path);
    *size = (size_t)length;
    return bytes;
}

/* Options as harmonize/onnxruntime.py has them: threads that spin after a run would compete with the passes. */
static OrtStatus *create(eh_session *session, const void *bytes, size_t size, int threads) {
    const OrtApi *api = session->runtime->api;
    OrtSessionOptions *options = 0;
    OrtStatus *status = api->CreateSessionOptions(&options);
    if (!status) status = api->SetIntraOpNumThreads(options, threads);
    if (!status) status = api->SetInterOpNumThreads(options, 1);
    if (!status) status = api->SetSessionExecutionMode(options, ORT_SEQUENTIAL);
    if (!status) status = api->SetSessionGraphOptimizationLevel(options, ORT_ENABLE_ALL);
    if (!status) status = api->SetSessionLogSeverityLevel(options, ORT_LOGGING_LEVEL_ERROR);
    if (!status) status = api->AddSessionConfigEntry(options, "session.force_spinning_stop", "1");
    if (!status)
        status = api->CreateSessionFromArray(session->runtime->environment, bytes, size, options, &session->session);
    if (options) api->ReleaseSessionOptions(options);
    return status;
}

/* The model's note of that name; "" where it has none. */
static OrtStatus *read_note(const eh_session *session, const OrtModelMetadata *notes, OrtAllocator *allocator,
                            const char *key, char *found, size_t size) {
    const OrtApi *api = session->runtime->api;
    char *value = 0;
    OrtStatus *status = api->ModelMetadataLookupCustomMetadataMap(notes, allocator, key, &value);
    snprintf(found, size, "%s", value ? value : "");
    if (value) {
        OrtStatus *freed = api->AllocatorFree(allocator, value);
        if (freed) api->ReleaseStatus(freed);
    }
    return status;
}

static eh_status check_notes(eh_session *session, const char *graph, const char *contract, eh_message *message) {
    const OrtApi *api = session->runtime->api;
    OrtModelMetadata *notes = 0;
    OrtAllocator *allocator = 0;
    char said_graph[64] = "", said_contract[64] = "";
    OrtStatus *status = api->GetAllocatorWithDefaultOptions(&allocator);
    if (!status) status = api->SessionGetModelMetadata(session->session, &notes);
    if (!status) status = read_note(session, notes, allocator, "edge_harmony.graph", said_graph, sizeof said_graph);
    if (!status)
        status = read_note(session, notes, allocator, "edge_harmony.contract", said_contract, sizeof said_contract);
    if (notes) api->ReleaseModelMetadata(notes);
    if (status) return failed(api, status, message, "the model's notes cannot be read");
    if (strcmp(said_graph, graph) != 0)
        return eh_fail(message, EH_ERROR_MODEL, "%s is %s%s graph, not the %s graph (use %s)", session->name,
                       *said_graph ? "the " : "an unnamed", said_graph, graph,
                       strcmp(graph, "matte") == 0 ? "person.onnx" : "base.onnx or nano.onnx");
    if (contract && strcmp(said_contract, contract) != 0)
        return eh_fail(message, EH_ERROR_MODEL, "%s is of contract version %s; this library needs %s (export it again)",
                       session->name, *said_contract ? said_contract : "none", contract);
    return EH_OK;
}

eh_status eh_session_open(eh_session *session, const eh_runtime *runtime, const char *path, const void *bytes,
                          size_t size, const char *graph, const char *contract, int threads, eh_message *message) {
    void *file = 0;
    session->runtime = runtime;
    snprintf(session->name, sizeof session->name, "%s", path && *path ? path : "the model in memory");
    if (!bytes) {
        bytes = file = read_file(path, &size, message);
        if (!bytes) return EH_ERROR_MODEL;
    }
    OrtStatus *status = create(session, bytes, size, threads);
    free(file);
    if (status) {
        failed(runtime->api, status, message, "the model cannot be loaded, it is damaged or no ONNX model");
        return EH_ERROR_MODEL;
    }
    return check_notes(session, graph, contract, message);
}

static void release_tensors(eh_session *session) {
    const OrtApi *api = session->runtime->api;
    for (int i = 0; i < 2; i++) {
        if (session->in[i]) api->ReleaseValue(session->in[i]);
        session->in[i] = 0;
    }
    if (session->out) api->ReleaseValue(session->out);
    session->out = 0;
}

void eh_session_close(eh_session *session) {
    if (!session->runtime) return;
    release_tensors(session);
    if (session->session) session->runtime->api->ReleaseSession(session->session);
    eh_release(&session->floats);
    memset(session, 0, sizeof *session);
}

eh_status eh_session_shape(eh_session *session, const int64_t (*shapes)[EH_MOST_DIMENSIONS], eh_message *message) {
    const OrtApi *api = session->runtime->api;
    size_t counts[3], total = 0;
    for (int i = 0; i <= session->inputs; i++) {
        counts[i] = 1;
        for (int k = 0; k < EH_MOST_DIMENSIONS; k++) counts[i] *= (size_t)shapes[i][k];
        total += counts[i];
    }
    release_tensors(session);
    float *floats = (float *)eh_reserve(&session->floats, total * sizeof(float));
    if (!floats) return eh_out_of_memory(message);
    OrtStatus *status = 0;
    for (int i = 0; i <= session->inputs && !status; i++) {
        OrtValue **value = i < session->inputs ? &session->in[i] : &session->out;
        *(i < session->inputs ? &session->data_in[i] : &session->data_out) = floats;
        status =
            api->CreateTensorWithDataAsOrtValue(session->runtime->memory, floats, counts[i] * sizeof(float), shapes[i],
                                                EH_MOST_DIMENSIONS, ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, value);
        floats += counts[i];
    }
    return status ? failed(api, status, message, "the model's tensors cannot be made") : EH_OK;
}

eh_status eh_session_run(eh_session *session, eh_message *message) {
    const OrtApi *api = session->runtime->api;
    OrtStatus *status = api->Run(session->session, 0, session->names_in, (const OrtValue *const *)session->in,
                                 (size_t)session->inputs, session->names_out, 1, &session->out);
    return status ? failed(api, status, message, "the model failed to run") : EH_OK;
}
