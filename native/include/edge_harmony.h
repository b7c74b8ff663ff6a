/* libedgeharmony: puts a subject over a background so that its colours belong there, frame after frame.
 *
 * The same arithmetic as edge_harmony.Compositor of the Python package. A frame, its alpha (given, the frame's own, or
 * found by the matting model) and a background come in; the harmonized composite, or the harmonized subject alone,
 * comes out. See docs/c-library.md for a tour.
 *
 * ABI. Functions, the values of constants and the layout of structures stay as they are as long as EDGE_HARMONY_ABI
 * does; it is the number in the library's file name (libedgeharmony.so.1). Functions and constants are added, and
 * eh_options grows at its end only: its first member says how much of it the caller knows. eh_image never changes.
 *
 * Threads. One eh_stream is for one stream of frames. Different streams may be used from different threads at once.
 * One stream may be used from one thread at a time, which need not always be the same. Each stream has its own worker
 * threads, which sleep between calls. There is no state outside a stream.
 *
 * Errors. Each function that can fail returns an eh_status; what is wrong, and what to do about it, is told in English
 * by eh_error. No exception and no signal leaves the library. A frame that was refused changes no state of the stream.
 */
#ifndef EDGE_HARMONY_H
#define EDGE_HARMONY_H

#include <stddef.h>
#include <stdint.h>

#define EDGE_HARMONY_VERSION_MAJOR 0
#define EDGE_HARMONY_VERSION_MINOR 1
#define EDGE_HARMONY_VERSION_PATCH 0
#define EDGE_HARMONY_VERSION "0.1.0"
#define EDGE_HARMONY_ABI 1

#if defined(EDGE_HARMONY_STATIC)
#define EH_API
#elif defined(_WIN32) && defined(EDGE_HARMONY_BUILDING)
#define EH_API __declspec(dllexport)
#elif defined(_WIN32)
#define EH_API __declspec(dllimport)
#else
#define EH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct eh_stream eh_stream;

typedef int32_t eh_status;
enum {
    EH_OK = 0,
    EH_ERROR_ARGUMENT = 1, /* a null pointer, a setting out of range, an unknown constant */
    EH_ERROR_IMAGE = 2,    /* an image of the wrong format or size, or rows that overlap */
    EH_ERROR_MODEL = 3,    /* a model is missing, damaged, or of another kind */
    EH_ERROR_RUNTIME = 4,  /* ONNX Runtime was not found, or failed */
    EH_ERROR_MEMORY = 5    /* there was not enough of it */
};

/* How an image lies in memory; 8 bits a channel, gamma-encoded (sRGB or BT.709) as cameras and files have it. */
enum {
    EH_BGR = 1,
    EH_RGB = 2,
    EH_BGRA = 3,
    EH_RGBA = 4,
    EH_NV12 = 5, /* a plane of luma and one of alternating u and v at half the size; even sides */
    EH_I420 = 6, /* three planes: luma, u, v; even sides */
    EH_GREY = 7  /* one channel: an alpha */
};

/* The matrix and range of EH_NV12 and EH_I420. Chroma lies on even columns, between rows, as H.264 has it by default.
 */
enum {
    EH_COLOUR_AUTO = 0, /* limited range; BT.709 from 720 lines (or 1280 columns) on, BT.601 below */
    EH_BT601_LIMITED = 1,
    EH_BT601_FULL = 2,
    EH_BT709_LIMITED = 3,
    EH_BT709_FULL = 4
};

/* An image that belongs to the caller; the library keeps none of these pointers after a call. Rows may be padded, and
 * may run upwards: plane[i] is where the topmost row begins, stride[i] the bytes from there to the row below (negative
 * in a picture whose last row comes first in memory). Unused planes are null. Sides of at least 64 pixels. */
typedef struct eh_image {
    int32_t format;
    int32_t width, height;
    int32_t colour;
    void *plane[3];
    int64_t stride[3];
} eh_image;

/* What a stream is made of. Fill it with eh_options_init, then set what differs. */
typedef struct eh_options {
    size_t size; /* of this structure, as the caller knows it; set by eh_options_init */
    /* The harmonizing model: the path, in UTF-8, of an .onnx file (base.onnx, nano.onnx), or its bytes (which are
     * needed until eh_open returns). With neither, frames are composited without a change of colour. */
    const char *model_path;
    const void *model_bytes;
    size_t model_size;
    /* The matting model (person.onnx) in the same way; needed only where alpha is neither given nor the frame's own. */
    const char *matte_path;
    const void *matte_bytes;
    size_t matte_size;
    /* ONNX Runtime: what OrtGetApiBase() of a linked one returned, or the path of its library. With neither it is
     * looked for: what EDGE_HARMONY_ONNXRUNTIME names; one that the process has loaded; beside this library; by the
     * system. */
    const void *onnxruntime_api_base;
    const char *onnxruntime_path;
    int32_t threads; /* how many work on a frame, the caller's included; 0: the processors available, at most 8 */
} eh_options;

/* Settings of a stream, which may be changed between frames. */
enum {
    EH_STRENGTH = 1,      /* 0 leaves the subject's colours alone, 1 (the default) harmonizes fully */
    EH_SMOOTHING = 2,     /* 0 follows every frame, 0.8 (the default) settles in 0.4 s; at most 0.999 */
    EH_DEAD_BAND = 3,     /* code values that the most affected colour may be off for good; 0 .. below 256, 2 */
    EH_LIGHT_WRAP = 4,    /* 0 (the default) .. 1: how much of the background's light spills over the edge */
    EH_GRAIN = 5,         /* 0 (the default) .. 1: how much of the background's noise the subject takes on */
    EH_FIT = 6,           /* how a background of another size fills the frame: one of EH_FIT_..., cover */
    EH_PREMULTIPLIED = 7, /* 1: the frame's colours are multiplied by alpha already; 0 */
    EH_ESTIMATE = 8,      /* 1: the frame is as filmed: the subject's own colour at soft edges is estimated; 1 where
                             the stream has a matting model, else 0 */
    EH_STILL = 9          /* 1: a background at the same address is the same picture: it is looked at once; 0 */
};
enum { EH_FIT_COVER = 0, EH_FIT_CONTAIN = 1, EH_FIT_STRETCH = 2 };

/* eh_process without a time: a thirtieth of a second after the last frame. */
#define EH_NO_TIME (-1.0)

/* The version of the library that runs, which may be newer than this header's. */
EH_API const char *eh_version(void);
EH_API int32_t eh_abi(void);

/* Fill options with their defaults. `size` is sizeof(eh_options). */
EH_API void eh_options_init(eh_options *options, size_t size);

/* Open a stream: load ONNX Runtime and the models. On failure *stream is null, and `message` (of message_size bytes, or
 * null) says why. */
EH_API eh_status eh_open(const eh_options *options, eh_stream **stream, char *message, size_t message_size);

/* Close it; null is allowed. */
EH_API void eh_close(eh_stream *stream);

/* What the last call on this stream that failed had to say; "" if none did. Good until the next call on it. */
EH_API const char *eh_error(const eh_stream *stream);

EH_API eh_status eh_set(eh_stream *stream, int32_t setting, double value);
EH_API eh_status eh_get(const eh_stream *stream, int32_t setting, double *value);

/* Forget earlier frames, as for a new source: the next frame's colours are taken at once. */
EH_API eh_status eh_reset(eh_stream *stream);

/* Composite and harmonize one frame.
 *
 * frame       the subject: straight colours unless EH_PREMULTIPLIED is set; any format but EH_GREY
 * alpha       EH_GREY of the frame's size, 255 is subject; null: the matting model finds it, or where the stream has
 *             none, it is the frame's own (EH_BGRA, EH_RGBA). As long as no alpha had more, one of 0 and 1 counts as 0
 *             and 255.
 * background  any format but EH_GREY, any size of at least 64 x 64: it is fitted to the frame by EH_FIT. Alpha in it is
 *             not looked at.
 * out         the image to write, of the frame's size; any format but EH_GREY; alpha is written as 255. Its memory must
 *             not overlap the others'.
 * seconds     when the frame is shown; the colours then settle as quickly at any frame rate. EH_NO_TIME, or a time that
 *             does not grow: a thirtieth of a second after the last frame.
 *
 * Where alpha is 0 an EH_BGR, EH_RGB, EH_BGRA or EH_RGBA output is the fitted background to the bit. Nothing is
 * allocated by the library itself once frames of a size, format and setting have been seen; ONNX Runtime allocates as
 * it runs. */
EH_API eh_status eh_process(eh_stream *stream, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                            const eh_image *out, double seconds);

/* The harmonized subject alone, with its alpha, to be composited elsewhere; in eh_process's place. The output is
 * EH_BGRA or EH_RGBA, straight, black where alpha is 0. Light wrap and grain belong to the place where it is
 * composited. */
EH_API eh_status eh_cut_out(eh_stream *stream, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                            const eh_image *out, double seconds);

/* The alpha that the matting model finds, into an EH_GREY image of the frame's size. Once for each frame, and in order:
 * it learns from frame to frame. */
EH_API eh_status eh_matte(eh_stream *stream, const eh_image *frame, const eh_image *alpha);

/* The transform that was applied to the last frame: 12 x 32 x 32 floats, for each cell of a grid over the frame a
 * row-major 3 x 4 map on RGB 0..1 (cells last, as the model gives it); the identity at first. */
enum { EH_TRANSFORM_FLOATS = 12 * 32 * 32 };
EH_API eh_status eh_transform(const eh_stream *stream, float *transform);

/* Of how many frames since the start or eh_reset the network was not asked, because nothing changed. */
EH_API int64_t eh_reused(const eh_stream *stream);

#ifdef __cplusplus
}
#endif
#endif
