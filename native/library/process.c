/* One frame from its parts to the finished picture. As compose/compositor.py. */
#include "stream.h"

enum { GRAIN_FRAMES = 8 }; /* a moving background's grain is measured once in as many */

static const unsigned COLOURS =
    1u << EH_BGR | 1u << EH_RGB | 1u << EH_BGRA | 1u << EH_RGBA | 1u << EH_NV12 | 1u << EH_I420;

/* What comes in: of one size, and BGR. */
typedef struct {
    eh_picture frame, alpha, background;
    int same_background; /* as on the last frame, and said to be so */
} parts;

static integer whole(double value) { return (integer)lrint(value); }

static eh_status memory_or(eh_stream *s, const void *data) { return data ? EH_OK : eh_out_of_memory(&s->message); }

/* Alpha -------------------------------- */

/* One of 0 and 1 counts as 0 and 255, as long as no alpha had more: a fade passes through 1; it began, or ends, with
 * more. */
static eh_status stretch(eh_stream *s, eh_picture *alpha) {
    if (s->seen_grey) return EH_OK;
    uint8_t most = 0;
    for (integer y = 0; y < alpha->height && most < 2; y++) {
        const uint8_t *line = eh_row(alpha, y);
        for (integer x = 0; x < alpha->width; x++) most = line[x] > most ? line[x] : most;
    }
    s->seen_grey = most > 1;
    if (most != 1) return EH_OK;
    uint8_t *data = (uint8_t *)eh_reserve(&s->alpha, (size_t)(alpha->height * alpha->width));
    if (!data) return eh_out_of_memory(&s->message);
    const eh_picture made = eh_packed(data, alpha->height, alpha->width, 1);
    for (integer y = 0; y < alpha->height; y++)
        for (integer x = 0; x < alpha->width; x++) eh_row(&made, y)[x] = eh_row(alpha, y)[x] ? 255 : 0;
    *alpha = made;
    return EH_OK;
}

static eh_status find_alpha(eh_stream *s, const eh_image *frame, const eh_image *given, const eh_picture *bgr,
                            eh_picture *alpha) {
    if (given) {
        alpha->data = (uint8_t *)given->plane[0];
        alpha->step = (integer)given->stride[0];
        alpha->height = given->height;
        alpha->width = given->width;
    } else {
        void *data = eh_reserve(&s->alpha, (size_t)(bgr->height * bgr->width));
        if (!data) return eh_out_of_memory(&s->message);
        *alpha = eh_packed(data, bgr->height, bgr->width, 1);
        if (s->has_person) return eh_person_alpha(&s->person, &s->tools, bgr, alpha);
        eh_read_alpha(&s->tools, frame, alpha);
    }
    return stretch(s, alpha);
}

/* Background -------------------------------- */

static eh_status resize_into(eh_stream *s, const eh_picture *in, const eh_picture *out) {
    const int shrinks = out->width <= in->width && out->height <= in->height;
    const int done = shrinks ? eh_resize_area(&s->fitting, s->tools.threads, in, out, 3)
                             : eh_resize_cubic(&s->fitting, s->tools.threads, in, out, 3);
    return done ? EH_OK : eh_out_of_memory(&s->message);
}

/* As backgrounds/fit.py. */
static eh_status fit(eh_stream *s, const eh_picture *in, integer height, integer width, eh_picture *fitted) {
    if (in->height == height && in->width == width) {
        *fitted = *in;
        return EH_OK;
    }
    void *data = eh_reserve(&s->fitted, (size_t)(height * width * 3));
    if (!data) return eh_out_of_memory(&s->message);
    *fitted = eh_packed(data, height, width, 3);
    const int mode = (int)s->settings[EH_FIT];
    if (mode == EH_FIT_STRETCH) return resize_into(s, in, fitted);
    const double across = (double)width / (double)in->width, down = (double)height / (double)in->height;
    if (mode == EH_FIT_COVER) {
        const double scale = across > down ? across : down;
        const integer crop_width = smaller(in->width, larger(1, whole((double)width / scale)));
        const integer crop_height = smaller(in->height, larger(1, whole((double)height / scale)));
        const integer left = (in->width - crop_width) / 2, top = (in->height - crop_height) / 2;
        const eh_picture crop = {eh_row(in, top) + 3 * left, in->step, crop_height, crop_width};
        return resize_into(s, &crop, fitted);
    }
    const double scale = across < down ? across : down;
    const integer inner_width = smaller(width, larger(1, whole((double)in->width * scale)));
    const integer inner_height = smaller(height, larger(1, whole((double)in->height * scale)));
    memset(data, 0, (size_t)(height * width * 3));
    const eh_picture inner = {eh_row(fitted, (height - inner_height) / 2) + 3 * ((width - inner_width) / 2),
                              fitted->step, inner_height, inner_width};
    return resize_into(s, in, &inner);
}

static int is_known(const eh_stream *s, const eh_image *image, const eh_picture *frame) {
    const eh_known *k = &s->known;
    return k->valid && s->settings[EH_STILL] != 0.0 && k->image.plane[0] == image->plane[0] &&
           k->image.format == image->format && k->image.width == image->width && k->image.height == image->height &&
           k->image.colour == image->colour && k->image.stride[0] == image->stride[0] && k->height == frame->height &&
           k->width == frame->width && k->fit == (int)s->settings[EH_FIT];
}

/* The background as BGR of the frame's size. One that is known is in the buffers that it was read into. */
static eh_status find_background(eh_stream *s, const eh_image *image, const eh_picture *frame, parts *p) {
    p->same_background = is_known(s, image, frame);
    if (p->same_background) {
        const int own = image->height == frame->height && image->width == frame->width;
        if (own && image->format == EH_BGR) return eh_read_image(&s->background, &s->tools, image, &p->background);
        p->background = eh_packed(own ? s->background.bgr.data : s->fitted.data, frame->height, frame->width, 3);
        return EH_OK;
    }
    s->known.valid = 0;
    eh_picture read;
    eh_status status = eh_read_image(&s->background, &s->tools, image, &read);
    if (status == EH_OK) status = fit(s, &read, frame->height, frame->width, &p->background);
    if (status != EH_OK) return status;
    s->known.image = *image;
    s->known.height = frame->height;
    s->known.width = frame->width;
    s->known.fit = (int)s->settings[EH_FIT];
    s->known.valid = s->settings[EH_STILL] != 0.0;
    return EH_OK;
}

/* The subject's own colour -------------------------------- */

typedef struct {
    const eh_picture *frame, *alpha, *made;
} straightening;

static void straighten_rows(void *context, integer first, integer last, int thread) {
    const straightening *w = (const straightening *)context;
    (void)thread;
    for (integer y = first; y < last; y++) {
        const uint8_t *from = eh_row(w->frame, y), *cover = eh_row(w->alpha, y);
        uint8_t *made = eh_row(w->made, y);
        for (integer x = 0; x < w->frame->width; x++) {
            const uint32_t share = cover[x] ? cover[x] : 1;
            for (integer k = 0; k < 3; k++) {
                const uint32_t value = (from[3 * x + k] * 255u + share / 2) / share;
                made[3 * x + k] = (uint8_t)(cover[x] ? value < 255 ? value : 255 : 0);
            }
        }
    }
}

static eh_status own_colour(eh_stream *s, parts *p) {
    const int premultiplied = s->settings[EH_PREMULTIPLIED] != 0.0, estimate = s->settings[EH_ESTIMATE] != 0.0;
    if (!premultiplied && !estimate) return EH_OK;
    void *data = eh_reserve(&s->straight, (size_t)(p->frame.height * p->frame.width * 3));
    if (!data) return eh_out_of_memory(&s->message);
    const eh_picture made = eh_packed(data, p->frame.height, p->frame.width, 3);
    if (premultiplied) {
        straightening work = {&p->frame, &p->alpha, &made};
        eh_share_rows(s->tools.threads, straighten_rows, &work, made.height, 32);
        p->frame = made;
        return EH_OK;
    }
    return eh_estimate_foreground(&s->foreground, &s->tools, &p->alpha, &made, &p->frame);
}

/* The transform -------------------------------- */

static void over(const eh_picture *frame, const eh_picture *alpha, const eh_picture *background,
                 const eh_picture *made) {
    for (integer i = 0; i < made->height * made->width; i++) {
        const uint32_t cover = alpha->data[i];
        for (integer k = 3 * i; k < 3 * i + 3; k++) {
            const uint32_t sum = cover * frame->data[k] + (255 - cover) * background->data[k] + 128;
            made->data[k] = (uint8_t)((sum + (sum >> 8)) >> 8);
        }
    }
}

static eh_status read_down(eh_stream *s, eh_memory *memory, const eh_picture *in, int channels, eh_picture *small) {
    void *data = eh_reserve(memory, (size_t)(EH_READ_SIDE * EH_READ_SIDE * channels));
    if (!data) return eh_out_of_memory(&s->message);
    *small = eh_packed(data, EH_READ_SIDE, EH_READ_SIDE, channels);
    return eh_resize_linear(&s->view, s->tools.threads, in, small, channels) ? EH_OK : eh_out_of_memory(&s->message);
}

/* The network's inputs: means of 2 x 2 pixels, RGB and alpha, 0..1. */
static void pack(eh_stream *s, const eh_picture *view, const eh_picture *alpha) {
    const float scale = (float)(1.0 / 255.0);
    const integer side = EH_WORKING_SIDE, plane = side * side;
    for (integer y = 0; y < side; y++) {
        const uint8_t *upper = eh_row(view, 2 * y), *lower = eh_row(view, 2 * y + 1);
        const uint8_t *cover = eh_row(alpha, 2 * y), *cover_below = eh_row(alpha, 2 * y + 1);
        float *made = s->network.data_in[0] + y * side, *mask = s->network.data_in[1] + y * side;
        for (integer x = 0; x < side; x++) {
            for (integer k = 0; k < 3; k++) {
                const int sum = upper[6 * x + k] + upper[6 * x + 3 + k] + lower[6 * x + k] + lower[6 * x + 3 + k];
                made[(2 - k) * plane + x] = (float)((sum + 2) >> 2) * scale;
            }
            const int sum = cover[2 * x] + cover[2 * x + 1] + cover_below[2 * x] + cover_below[2 * x + 1];
            mask[x] = (float)((sum + 2) >> 2) * scale;
        }
    }
}

static eh_status predict(eh_stream *s, const eh_picture *view, const eh_picture *alpha) {
    pack(s, view, alpha);
    s->predicted = 0;
    const eh_status status = eh_session_run(&s->network, &s->message);
    if (status != EH_OK) return status;
    for (int i = 0; i < EH_TRANSFORM_SIZE; i++)
        if (!isfinite(s->network.data_out[i]))
            return eh_fail(&s->message, EH_ERROR_MODEL, "%s gave NaN or infinity (it is damaged: export it again)",
                           s->network.name);
    s->predicted = 1;
    return EH_OK;
}

/* The smoothed transform of this frame; held where there is nothing to compare, subject or background. */
static eh_status next_transform(eh_stream *s, const parts *p, double elapsed) {
    if (!s->has_network) return EH_OK;
    eh_picture frame, alpha, background;
    eh_status status = read_down(s, &s->small_alpha, &p->alpha, 1, &alpha);
    if (status != EH_OK) return status;
    uint8_t most = 0, least = 255;
    for (integer i = 0; i < EH_READ_SIDE * EH_READ_SIDE; i++) {
        most = alpha.data[i] > most ? alpha.data[i] : most;
        least = alpha.data[i] < least ? alpha.data[i] : least;
    }
    const int comparable = most > 0 && least < 255;
    background = eh_packed(s->small_background.data, EH_READ_SIDE, EH_READ_SIDE, 3);
    /* One that is known may have been read down on an earlier frame. */
    if (!p->same_background || !background.data) {
        if (comparable || s->settings[EH_STILL] != 0.0)
            status = read_down(s, &s->small_background, &p->background, 3, &background);
    }
    if (status != EH_OK) s->known.valid = 0;
    if (status != EH_OK || !comparable) return status;
    status = read_down(s, &s->small_frame, &p->frame, 3, &frame);
    if (status == EH_OK) status = memory_or(s, eh_reserve(&s->composite, (size_t)(EH_READ_SIDE * EH_READ_SIDE * 3)));
    if (status != EH_OK) return status;
    const eh_picture view = eh_packed(s->composite.data, EH_READ_SIDE, EH_READ_SIDE, 3);
    over(&frame, &alpha, &background, &view);
    const eh_change change = eh_scene_update(&s->scene, &view, &alpha);
    if (change == EH_SCENE_STILL && s->predicted && s->settings[EH_SMOOTHING] > 0.0)
        s->reused++;
    else
        status = predict(s, &view, &alpha);
    if (status != EH_OK) return status;
    if (change == EH_CUT) s->has_grain = 0;
    eh_smooth(&s->smoother, s->network.data_out, &alpha, change == EH_CUT, elapsed, s->settings[EH_SMOOTHING],
              s->settings[EH_DEAD_BAND]);
    memcpy(s->transform, s->smoother.applied, sizeof s->transform);
    return EH_OK;
}

/* The pixels -------------------------------- */

typedef struct {
    eh_stream *stream;
    const eh_picture *frame, *alpha, *background, *out;
    uint8_t *scratch;
    size_t each;
} application;

static void apply_rows(void *context, integer first, integer last, int thread) {
    const application *a = (const application *)context;
    const integer width = a->frame->width, nodes = (EH_GRID + 2) * EH_MAP;
    float *floats = (float *)(a->scratch + a->each * (size_t)thread);
    a->stream->tools.passes->harmonize_rows(
        first, last, a->frame->height, width, eh_address(a->frame->data), a->frame->step, eh_address(a->alpha->data),
        a->alpha->step, eh_address(a->background->data), a->background->step, eh_address(a->out->data), a->out->step,
        eh_address(floats + 2 * nodes), eh_address(a->stream->grid), EH_GRID, eh_address(floats),
        eh_address(floats + nodes));
}

static eh_status apply(eh_stream *s, const eh_picture *frame, const eh_picture *alpha, const eh_picture *background,
                       const eh_picture *out) {
    const size_t floats = 2 * (EH_GRID + 2) * EH_MAP * sizeof(float);
    application work = {s, frame, alpha, background, out, 0, (floats + 3 * (size_t)frame->width + 63) / 64 * 64};
    work.scratch = (uint8_t *)eh_reserve(&s->scratch, work.each * (size_t)eh_threads_count(s->tools.threads));
    if (!work.scratch) return eh_out_of_memory(&s->message);
    eh_blend_grid(s->transform, s->settings[EH_STRENGTH], s->grid);
    eh_share_rows(s->tools.threads, apply_rows, &work, frame->height, 32);
    return EH_OK;
}

static eh_status match_grain(eh_stream *s, const parts *p, const eh_picture *out) {
    const int still = s->settings[EH_STILL] != 0.0;
    const int known = still ? p->same_background && s->grain_is_still : !s->grain_is_still && s->frames % GRAIN_FRAMES;
    if (!s->has_grain || !known) {
        const eh_box everything = {0, 0, p->background.width, p->background.height};
        const eh_status status = eh_measure_grain(&s->finishing, &s->tools, &p->background, 0, everything, &s->grain);
        if (status != EH_OK) return status;
        s->has_grain = 1;
        s->grain_is_still = still;
    }
    return eh_grain_match(&s->finishing, &s->tools, out, &p->alpha, &s->grain, s->settings[EH_GRAIN],
                          (uint32_t)s->frames);
}

static double elapsed_since(eh_stream *s, double seconds) {
    const int had = s->has_time;
    const double before = s->last_time;
    s->has_time = seconds >= 0.0; /* no number is not */
    s->last_time = seconds;
    return had && s->has_time && seconds > before ? seconds - before : EH_FRAME_SECONDS;
}

static eh_status check(eh_stream *s, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                       const eh_image *out, unsigned out_formats) {
    eh_message *message = &s->message;
    eh_status status = eh_check_image(frame, COLOURS, "frame", message);
    if (status == EH_OK && alpha) status = eh_check_image(alpha, 1u << EH_GREY, "alpha", message);
    if (status == EH_OK) status = eh_check_image(background, COLOURS, "background", message);
    if (status == EH_OK) status = eh_check_image(out, out_formats, "out", message);
    if (status != EH_OK) return status;
    if (alpha && (alpha->width != frame->width || alpha->height != frame->height))
        return eh_fail(message, EH_ERROR_IMAGE, "alpha is %d x %d but the frame is %d x %d (use the frame's own alpha)",
                       alpha->width, alpha->height, frame->width, frame->height);
    if (out->width != frame->width || out->height != frame->height)
        return eh_fail(message, EH_ERROR_IMAGE, "out is %d x %d but the frame is %d x %d (make it of the frame's size)",
                       out->width, out->height, frame->width, frame->height);
    if (eh_overlap(out, frame) || eh_overlap(out, background) || (alpha && eh_overlap(out, alpha)))
        return eh_fail(message, EH_ERROR_IMAGE, "out shares memory with an input (give it memory of its own)");
    if (!alpha && !s->has_person && !eh_has_alpha(frame))
        return eh_fail(
            message, EH_ERROR_ARGUMENT,
            "there is no alpha (pass one, or a frame of EH_BGRA or EH_RGBA, or open the stream with a matte)");
    if (s->settings[EH_PREMULTIPLIED] != 0.0 && s->settings[EH_ESTIMATE] != 0.0)
        return eh_fail(message, EH_ERROR_ARGUMENT,
                       "EH_PREMULTIPLIED and EH_ESTIMATE do not go together (premultiplied colours need no estimate)");
    return EH_OK;
}

static eh_status prepare(eh_stream *s, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                         double seconds, parts *p) {
    eh_status status = eh_read_image(&s->frame, &s->tools, frame, &p->frame);
    if (status == EH_OK) status = find_alpha(s, frame, alpha, &p->frame, &p->alpha);
    if (status == EH_OK) status = find_background(s, background, &p->frame, p);
    if (status == EH_OK) status = own_colour(s, p);
    return status == EH_OK ? next_transform(s, p, elapsed_since(s, seconds)) : status;
}

eh_status eh_process(eh_stream *s, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                     const eh_image *out, double seconds) {
    if (!s) return EH_ERROR_ARGUMENT;
    parts p;
    eh_picture made;
    eh_status status = check(s, frame, alpha, background, out, COLOURS);
    if (status == EH_OK) status = prepare(s, frame, alpha, background, seconds, &p);
    if (status == EH_OK) status = eh_prepare_output(&s->output, &s->tools, out, &made);
    if (status == EH_OK) status = apply(s, &p.frame, &p.alpha, &p.background, &made);
    if (status == EH_OK && s->settings[EH_LIGHT_WRAP] > 0.0)
        status = eh_light_wrap(&s->finishing, &s->tools, &made, &p.alpha, &p.background, s->settings[EH_LIGHT_WRAP]);
    if (status == EH_OK && s->settings[EH_GRAIN] > 0.0) status = match_grain(s, &p, &made);
    if (status == EH_OK) status = eh_write_image(&s->output, &s->tools, &made, 0, out);
    s->frames += status == EH_OK;
    return status;
}

eh_status eh_cut_out(eh_stream *s, const eh_image *frame, const eh_image *alpha, const eh_image *background,
                     const eh_image *out, double seconds) {
    if (!s) return EH_ERROR_ARGUMENT;
    parts p;
    eh_picture made;
    eh_status status = check(s, frame, alpha, background, out, 1u << EH_BGRA | 1u << EH_RGBA);
    if (status == EH_OK) status = prepare(s, frame, alpha, background, seconds, &p);
    if (status == EH_OK) status = eh_prepare_output(&s->output, &s->tools, out, &made);
    if (status != EH_OK) return status;
    const size_t pixels = (size_t)(made.height * made.width);
    uint8_t *nothing = (uint8_t *)eh_reserve(&s->nothing, 4 * pixels);
    if (!nothing) return eh_out_of_memory(&s->message);
    uint8_t *solid_data = nothing + 3 * pixels;
    memset(nothing, 0, 3 * pixels);
    const eh_picture black = eh_packed(nothing, made.height, made.width, 3);
    const eh_picture solid = eh_packed(solid_data, made.height, made.width, 1);
    for (integer y = 0; y < made.height; y++)
        for (integer x = 0; x < made.width; x++) eh_row(&solid, y)[x] = eh_row(&p.alpha, y)[x] ? 255 : 0;
    status = apply(s, &p.frame, &solid, &black, &made);
    if (status == EH_OK) status = eh_write_image(&s->output, &s->tools, &made, &p.alpha, out);
    s->frames += status == EH_OK;
    return status;
}

eh_status eh_matte(eh_stream *s, const eh_image *frame, const eh_image *alpha) {
    if (!s) return EH_ERROR_ARGUMENT;
    if (!s->has_person)
        return eh_fail(&s->message, EH_ERROR_ARGUMENT, "the stream has no matting model (open it with matte_path)");
    eh_status status = eh_check_image(frame, COLOURS, "frame", &s->message);
    if (status == EH_OK) status = eh_check_image(alpha, 1u << EH_GREY, "alpha", &s->message);
    if (status != EH_OK) return status;
    if (alpha->width != frame->width || alpha->height != frame->height || eh_overlap(alpha, frame))
        return eh_fail(&s->message, EH_ERROR_IMAGE, "alpha must be %d x %d, and share no memory with the frame",
                       frame->width, frame->height);
    eh_picture bgr;
    const eh_picture made = {(uint8_t *)alpha->plane[0], (integer)alpha->stride[0], alpha->height, alpha->width};
    status = eh_read_image(&s->frame, &s->tools, frame, &bgr);
    return status == EH_OK ? eh_person_alpha(&s->person, &s->tools, &bgr, &made) : status;
}
