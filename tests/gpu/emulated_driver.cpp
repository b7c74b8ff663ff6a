// A CUDA driver without a GPU: libcuda.so.1 for tests, so that pycuda and our runtime run for real up to it.
//
// It keeps the order that CUDA promises and nothing more. Work put on a stream waits until someone asks for it
// (a synchronization, an event that another stream waits for), so code that forgets to wait reads stale bytes here
// every time. "Device" addresses are offset, so that the host cannot follow them by accident. Checked at each call:
// a context is current, addresses lie inside live memory, nothing forbidden happens during a graph's capture.
//
// Streams made with CU_STREAM_NON_BLOCKING go their own way; the others and the legacy default stream wait for each
// other, and nothing else does. An error shows at a later call, whichever that is, and then at every one.
//
// Settings: EMULATED_GPUS (default 1), EMULATED_INTEGRATED=1 (as on a Jetson), EMULATED_NO_CAPTURE=1, EMULATED_EAGER=1
// (work is done as early as CUDA allows instead: buffers that are touched too soon after a call show then).
// For the tests: emulator_count(what), emulator_break_after(kernels).

#include <cuda.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <math.h>

#define EXPORT extern "C" __attribute__((visibility("default")))
#define LOCK std::lock_guard<std::recursive_mutex> lock(mutex)
#define CHECK                                                          \
    LOCK;                                                              \
    if (broken) return CUDA_ERROR_LAUNCH_FAILED;                       \
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
#define IN_CONTEXT CHECK if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
#define NOT_CAPTURING if (capturing) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;

typedef std::function<CUresult()> Work;
struct Stream;
struct Op {
    Work work;             // empty for a wait
    Stream *other = nullptr;  // wait until this stream has done `number` operations
    uint64_t number = 0;
};
struct Graph { std::vector<Work> ops; };
struct Stream {
    std::list<Op> queue;
    uint64_t queued = 0, done = 0;
    bool blocking = true;  // waits for the legacy default stream, and that for it
    Graph *capture = nullptr;
};
struct Event { Stream *stream = nullptr; uint64_t number = 0; };

static const uint64_t OFFSET = 1ull << 60;
static std::recursive_mutex mutex;
static bool initialized = false, broken = false;
static int primary_count = 0, contexts = 0;
static thread_local int capturing = 0;  // captures are thread-local: other threads may go on as they like
static long break_after = -1;
static thread_local std::vector<CUcontext> stack;
static std::map<uint64_t, size_t> device_memory, pinned_memory, mapped_memory;  // by real address
static std::map<Stream *, bool> streams;
static std::map<Event *, bool> events;
static std::map<void *, std::vector<Work>> executables;
static std::map<std::string, long> counts;
static Stream default_stream;

static const char *setting(const char *name) { return getenv(name) ? getenv(name) : ""; }

static bool inside(const std::map<uint64_t, size_t> &memory, uint64_t real, size_t size) {
    auto after = memory.upper_bound(real);
    if (after == memory.begin()) return false;
    auto block = std::prev(after);
    return real + size <= block->first + block->second;
}

// The host's address of device memory; null when it is none.
static char *real(CUdeviceptr pointer, size_t size) {
    uint64_t address = pointer - OFFSET;
    return inside(device_memory, address, size) || inside(mapped_memory, address, size) ? (char *)address : nullptr;
}

// A broken GPU does nothing more: what is still queued would write to memory that is given back meanwhile.
static CUresult run_until(Stream *stream, uint64_t number) {
    while (!broken && stream->done < number && !stream->queue.empty()) {
        Op op = stream->queue.front();
        if (op.other) {
            CUresult result = run_until(op.other, op.number);
            if (result != CUDA_SUCCESS) return result;
        }
        stream->queue.pop_front();
        stream->done++;
        if (op.work) {
            CUresult result = op.work();
            if (result != CUDA_SUCCESS) { broken = true; return result; }
        }
    }
    return broken ? CUDA_ERROR_LAUNCH_FAILED : CUDA_SUCCESS;
}

static CUresult run_all() {
    for (auto &item : streams) {
        CUresult result = run_until(item.first, item.first->queued);
        if (result != CUDA_SUCCESS) return result;
    }
    return run_until(&default_stream, default_stream.queued);
}

static Stream *stream_of(CUstream handle) {
    if (handle == nullptr || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD) return &default_stream;
    Stream *stream = (Stream *)handle;
    return streams.count(stream) ? stream : nullptr;
}

// From here on a stream goes on only when another has done what is on it now.
static void wait_for(Stream *stream, Stream *other, uint64_t number) {
    if (other->done >= number) return;
    Op op;
    op.other = other;
    op.number = number;
    stream->queue.push_back(op);
    stream->queued++;
}

// The order that the legacy default stream and the blocking ones keep among themselves, before work on one of them.
static void keep_legacy_order(Stream *stream) {
    if (stream == &default_stream) {
        for (auto &item : streams)
            if (item.first->blocking) wait_for(&default_stream, item.first, item.first->queued);
    } else if (stream->blocking) {
        wait_for(stream, &default_stream, default_stream.queued);
    }
}

static CUresult enqueue(CUstream handle, Work work) {
    Stream *stream = stream_of(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) { stream->capture->ops.push_back(work); return CUDA_SUCCESS; }
    if (stream == &default_stream && capturing) return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    keep_legacy_order(stream);
    Op op;
    op.work = work;
    stream->queue.push_back(op);
    stream->queued++;
    if (*setting("EMULATED_EAGER")) run_until(stream, stream->queued);  // what fails shows at the next call
    return CUDA_SUCCESS;
}

// ---- initialization, devices, contexts

EXPORT CUresult cuInit(unsigned int) {
    LOCK;
    const char *gpus = setting("EMULATED_GPUS");
    if (!strcmp(gpus, "none")) return CUDA_ERROR_NO_DEVICE;
    initialized = true;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDriverGetVersion(int *version) { *version = 12060; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetCount(int *count) {
    CHECK
    *count = *setting("EMULATED_GPUS") ? atoi(setting("EMULATED_GPUS")) : 1;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceGet(CUdevice *device, int i) {
    CHECK
    int count;
    cuDeviceGetCount(&count);
    *device = i;
    return i < count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}
EXPORT CUresult cuDeviceGetName(char *name, int length, CUdevice) {
    strncpy(name, "Emulated GPU", length);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDeviceTotalMem(size_t *bytes, CUdevice) { *bytes = 8ull << 30; return CUDA_SUCCESS; }
EXPORT CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
    bool integrated = *setting("EMULATED_INTEGRATED");
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 8; break;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = integrated ? 7 : 6; break;
        case CU_DEVICE_ATTRIBUTE_INTEGRATED: *value = integrated; break;
        case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY: *value = 1; break;
        default: *value = 0;
    }
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
    CHECK
    primary_count++;
    *context = (CUcontext)&primary_count;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuDevicePrimaryCtxRelease(CUdevice) {
    LOCK;
    return --primary_count >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}
EXPORT CUresult cuCtxPushCurrent(CUcontext context) {
    LOCK;
    stack.push_back(context);
    contexts++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxPopCurrent(CUcontext *context) {
    LOCK;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    *context = stack.back();
    stack.pop_back();
    contexts--;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuCtxGetDevice(CUdevice *device) { IN_CONTEXT *device = 0; return CUDA_SUCCESS; }
EXPORT CUresult cuCtxSynchronize() { IN_CONTEXT NOT_CAPTURING return run_all(); }

static CUresult words(CUresult status, const char **text) {
    switch (status) {
        case CUDA_SUCCESS: *text = "no error"; break;
        case CUDA_ERROR_INVALID_VALUE: *text = "invalid argument"; break;
        case CUDA_ERROR_OUT_OF_MEMORY: *text = "out of memory"; break;
        case CUDA_ERROR_NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
        case CUDA_ERROR_INVALID_CONTEXT: *text = "invalid device context"; break;
        case CUDA_ERROR_LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
        case CUDA_ERROR_NOT_SUPPORTED: *text = "operation not supported"; break;
        default: *text = "another error";
    }
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGetErrorString(CUresult status, const char **text) { return words(status, text); }
EXPORT CUresult cuGetErrorName(CUresult status, const char **text) {
    if (status == CUDA_ERROR_NO_DEVICE) { *text = "CUDA_ERROR_NO_DEVICE"; return CUDA_SUCCESS; }
    return words(status, text);
}

// ---- memory

EXPORT CUresult cuMemAlloc(CUdeviceptr *pointer, size_t size) {
    IN_CONTEXT NOT_CAPTURING
    if (size == 0) return CUDA_ERROR_INVALID_VALUE;
    if (size > (8ull << 30)) return CUDA_ERROR_OUT_OF_MEMORY;
    void *block = aligned_alloc(512, (size + 511) / 512 * 512);
    memset(block, 0xA5, size);
    device_memory[(uint64_t)block] = size;
    counts["allocations"]++;
    *pointer = (uint64_t)block + OFFSET;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFree(CUdeviceptr pointer) {
    LOCK;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    NOT_CAPTURING
    run_all();
    if (!device_memory.erase(pointer - OFFSET)) return CUDA_ERROR_INVALID_VALUE;
    free((void *)(pointer - OFFSET));
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostAlloc(void **pointer, size_t size, unsigned int flags) {
    IN_CONTEXT NOT_CAPTURING
    *pointer = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    memset(*pointer, 0x5A, size);
    pinned_memory[(uint64_t)*pointer] = size;
    if (flags & CU_MEMHOSTALLOC_DEVICEMAP) mapped_memory[(uint64_t)*pointer] = size;
    counts["allocations"]++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemFreeHost(void *pointer) {
    LOCK;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    NOT_CAPTURING
    run_all();
    if (!pinned_memory.erase((uint64_t)pointer)) return CUDA_ERROR_INVALID_VALUE;
    mapped_memory.erase((uint64_t)pointer);
    free(pointer);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuMemHostGetDevicePointer(CUdeviceptr *device, void *pointer, unsigned int) {
    IN_CONTEXT
    if (!inside(mapped_memory, (uint64_t)pointer, 1)) return CUDA_ERROR_INVALID_VALUE;
    *device = (uint64_t)pointer + OFFSET;
    return CUDA_SUCCESS;
}

static CUresult copy(char *to, const char *from, size_t size, CUstream stream, bool pageable) {
    if (!to || !from) return CUDA_ERROR_INVALID_VALUE;
    CUresult result = enqueue(stream, [=] { memcpy(to, from, size); return CUDA_SUCCESS; });
    if (result != CUDA_SUCCESS || !pageable) return result;
    NOT_CAPTURING
    return run_until(stream_of(stream), stream_of(stream)->queued);  // as CUDA does: not asynchronous
}
EXPORT CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t size, CUstream stream) {
    IN_CONTEXT
    counts["bytes to device"] += size;
    return copy(real(to, size), (const char *)from, size, stream, !inside(pinned_memory, (uint64_t)from, size));
}
EXPORT CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t size, CUstream stream) {
    IN_CONTEXT
    counts["bytes to host"] += size;
    return copy((char *)to, real(from, size), size, stream, !inside(pinned_memory, (uint64_t)to, size));
}
EXPORT CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t size, CUstream stream) {
    IN_CONTEXT
    return copy(real(to, size), real(from, size), size, stream, false);
}
EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t size, CUstream stream) {
    IN_CONTEXT
    void *memory = real(to, size);
    if (!memory) return CUDA_ERROR_INVALID_VALUE;
    return enqueue(stream, [=] { memset(memory, value, size); return CUDA_SUCCESS; });
}
EXPORT CUresult cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t size) {
    CUresult result = cuMemcpyHtoDAsync(to, from, size, nullptr);
    return result == CUDA_SUCCESS ? run_until(&default_stream, default_stream.queued) : result;
}
EXPORT CUresult cuMemcpyDtoH(void *to, CUdeviceptr from, size_t size) {
    CUresult result = cuMemcpyDtoHAsync(to, from, size, nullptr);
    return result == CUDA_SUCCESS ? run_until(&default_stream, default_stream.queued) : result;
}
EXPORT CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *c, CUstream stream) {
    IN_CONTEXT
    if (c->srcMemoryType != CU_MEMORYTYPE_DEVICE || c->dstMemoryType != CU_MEMORYTYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    char *to = real(c->dstDevice, c->dstPitch * (c->Height - 1) + c->WidthInBytes);
    char *from = real(c->srcDevice, c->srcPitch * (c->Height - 1) + c->WidthInBytes);
    if (!to || !from || c->WidthInBytes > c->srcPitch || c->WidthInBytes > c->dstPitch) return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY2D p = *c;
    return enqueue(stream, [=] {
        for (size_t y = 0; y < p.Height; y++) memcpy(to + y * p.dstPitch, from + y * p.srcPitch, p.WidthInBytes);
        return CUDA_SUCCESS;
    });
}

// ---- streams, events, graphs

EXPORT CUresult cuStreamCreate(CUstream *handle, unsigned int flags) {
    IN_CONTEXT
    Stream *stream = new Stream;
    stream->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    streams[stream] = true;
    *handle = (CUstream)stream;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamDestroy(CUstream handle) {
    LOCK;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    Stream *stream = (Stream *)handle;
    if (!streams.count(stream)) return CUDA_ERROR_INVALID_HANDLE;
    run_until(stream, stream->queued);
    streams.erase(stream);  // not deleted: an event may still point to it
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamSynchronize(CUstream handle) {
    IN_CONTEXT
    Stream *stream = stream_of(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    keep_legacy_order(stream);
    return run_until(stream, stream->queued);
}
EXPORT CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned int) {
    IN_CONTEXT
    Event *event = (Event *)event_handle;
    if (!events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
    if (!event->stream) return CUDA_SUCCESS;  // never recorded: nothing to wait for
    Stream *stream = stream_of(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (stream->capture) return CUDA_ERROR_STREAM_CAPTURE_ISOLATION;
    keep_legacy_order(stream);
    wait_for(stream, event->stream, event->number);
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventCreate(CUevent *handle, unsigned int) {
    IN_CONTEXT
    Event *event = new Event;
    events[event] = true;
    *handle = (CUevent)event;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventDestroy(CUevent handle) {
    LOCK;
    if (stack.empty()) return CUDA_ERROR_INVALID_CONTEXT;
    if (!events.erase((Event *)handle)) return CUDA_ERROR_INVALID_HANDLE;
    delete (Event *)handle;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    IN_CONTEXT
    Event *event = (Event *)handle;
    Stream *stream = stream_of(stream_handle);
    if (!stream || !events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
    keep_legacy_order(stream);
    event->stream = stream;
    event->number = stream->queued;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuEventSynchronize(CUevent handle) {
    IN_CONTEXT
    Event *event = (Event *)handle;
    if (!events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
    return event->stream ? run_until(event->stream, event->number) : CUDA_SUCCESS;
}
EXPORT CUresult cuEventQuery(CUevent handle) {  // each question brings the stream one piece of work further
    IN_CONTEXT
    Event *event = (Event *)handle;
    if (!events.count(event)) return CUDA_ERROR_INVALID_HANDLE;
    if (!event->stream || event->stream->done >= event->number) return CUDA_SUCCESS;
    CUresult result = run_until(event->stream, event->stream->done + 1);
    if (result != CUDA_SUCCESS) return result;
    return event->stream->done >= event->number ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}
EXPORT CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode) {
    IN_CONTEXT
    Stream *stream = stream_of(handle);
    if (!stream || stream == &default_stream || *setting("EMULATED_NO_CAPTURE"))
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    stream->capture = new Graph;
    capturing++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuStreamEndCapture(CUstream handle, CUgraph *graph) {
    IN_CONTEXT
    Stream *stream = stream_of(handle);
    if (!stream || !stream->capture) return CUDA_ERROR_INVALID_VALUE;
    *graph = (CUgraph)stream->capture;
    stream->capture = nullptr;
    capturing--;
    counts["graphs"]++;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphInstantiate(CUgraphExec *executable, CUgraph graph, unsigned long long) {
    IN_CONTEXT
    void *key = malloc(1);
    executables[key] = ((Graph *)graph)->ops;
    *executable = (CUgraphExec)key;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphLaunch(CUgraphExec executable, CUstream stream) {
    IN_CONTEXT
    if (!executables.count(executable)) return CUDA_ERROR_INVALID_HANDLE;
    counts["graph launches"]++;
    for (auto &work : executables[executable]) {
        CUresult result = enqueue(stream, work);
        if (result != CUDA_SUCCESS) return result;
    }
    return CUDA_SUCCESS;
}
EXPORT CUresult cuGraphExecDestroy(CUgraphExec executable) {
    LOCK;
    return executables.erase(executable) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}
EXPORT CUresult cuGraphDestroy(CUgraph graph) {
    LOCK;
    counts["graphs"]--;
    delete (Graph *)graph;
    return CUDA_SUCCESS;
}

// ---- kernels: those of standin.cu, one thread after another

struct Dim { unsigned int x, y, z; };
static thread_local Dim blockIdx, blockDim, threadIdx;
#define __global__
#define __device__ static
#include "standin.cu"

struct Kernel {
    std::vector<int> sizes;  // of the parameters; -1 marks a device pointer
    std::function<void(void **)> run;
};
template <class T> static T at(void **parameters, int i) { return *(T *)parameters[i]; }
template <class T> static T *memory(void **parameters, int i) { return (T *)(*(uint64_t *)parameters[i] - OFFSET); }

static std::map<std::string, Kernel> kernels = {
    {"standin_view", {{-1, -1, -1, 4}, [](void **p) {
        standin_view(memory<float>(p, 0), memory<float>(p, 1), memory<float>(p, 2), at<int>(p, 3)); }}},
    {"standin_predict", {{-1, 4, 4, -1, -1, -1, 4}, [](void **p) {
        standin_predict(memory<byte>(p, 0), at<int>(p, 1), at<int>(p, 2), memory<float>(p, 3), memory<float>(p, 4),
                        memory<float>(p, 5), at<int>(p, 6)); }}},
    {"standin_apply", {{-1, -1, -1, 4, 4, -1, -1, -1, 4}, [](void **p) {
        standin_apply(memory<byte>(p, 0), memory<byte>(p, 1), memory<byte>(p, 2), at<int>(p, 3), at<int>(p, 4),
                      memory<float>(p, 5), memory<float>(p, 6), memory<byte>(p, 7), at<int>(p, 8)); }}},
};

EXPORT CUresult cuModuleLoadDataEx(CUmodule *module, const void *, unsigned int, CUjit_option *, void **) {
    IN_CONTEXT
    *module = (CUmodule)&kernels;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuModuleUnload(CUmodule) { return CUDA_SUCCESS; }
EXPORT CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
    IN_CONTEXT
    auto kernel = kernels.find(name);
    if (kernel == kernels.end()) return CUDA_ERROR_NOT_FOUND;
    *function = (CUfunction)&kernel->second;
    return CUDA_SUCCESS;
}
EXPORT CUresult cuLaunchKernel(CUfunction function, unsigned int gx, unsigned int gy, unsigned int gz, unsigned int bx,
                               unsigned int by, unsigned int bz, unsigned int, CUstream stream, void **parameters,
                               void **) {
    IN_CONTEXT
    if (gy * gz * by * bz != 1 || bx > 1024) return CUDA_ERROR_INVALID_VALUE;
    Kernel *kernel = (Kernel *)function;
    std::vector<uint64_t> values;  // copied at the launch, as CUDA does
    for (size_t i = 0; i < kernel->sizes.size(); i++) {
        uint64_t value = 0;
        memcpy(&value, parameters[i], kernel->sizes[i] < 0 ? 8 : kernel->sizes[i]);
        if (kernel->sizes[i] < 0 && !real(value, 1)) return CUDA_ERROR_INVALID_VALUE;
        values.push_back(value);
    }
    return enqueue(stream, [=]() mutable {
        if (break_after == 0) return CUDA_ERROR_LAUNCH_FAILED;
        if (break_after > 0) break_after--;
        counts["kernels"]++;
        std::vector<void *> pointers;
        for (auto &value : values) pointers.push_back(&value);
        blockDim = {bx, 1, 1};
        for (unsigned int b = 0; b < gx; b++)
            for (unsigned int t = 0; t < bx; t++) {
                blockIdx = {b, 0, 0};
                threadIdx = {t, 0, 0};
                kernel->run(pointers.data());
            }
        return CUDA_SUCCESS;
    });
}

// ---- for the tests

EXPORT long emulator_count(const char *what) {
    LOCK;
    std::string name = what;
    if (name == "device memory") return device_memory.size();
    if (name == "pinned memory") return pinned_memory.size();
    if (name == "streams") return streams.size();
    if (name == "events") return events.size();
    if (name == "executables") return executables.size();
    if (name == "contexts") return contexts;  // pushed and not popped, over all threads
    return counts[name];
}
EXPORT void emulator_break_after(long launches) { LOCK; break_after = launches; }
