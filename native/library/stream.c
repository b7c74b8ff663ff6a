/* The public functions but eh_process and its kin: opening, closing, settings. */
#include "stream.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    double least, most, usual;
    int whole;
    const char *name;
} SETTINGS[EH_SETTINGS] = {
    [EH_STRENGTH] = {0.0, 1.0, 1.0, 0, "EH_STRENGTH"},
    [EH_SMOOTHING] = {0.0, 0.999, 0.8, 0, "EH_SMOOTHING"},
    [EH_DEAD_BAND] = {0.0, 255.999, 2.0, 0, "EH_DEAD_BAND"},
    [EH_LIGHT_WRAP] = {0.0, 1.0, 0.0, 0, "EH_LIGHT_WRAP"},
    [EH_GRAIN] = {0.0, 1.0, 0.0, 0, "EH_GRAIN"},
    [EH_FIT] = {0.0, 2.0, EH_FIT_COVER, 1, "EH_FIT"},
    [EH_PREMULTIPLIED] = {0.0, 1.0, 0.0, 1, "EH_PREMULTIPLIED"},
    [EH_ESTIMATE] = {0.0, 1.0, 0.0, 1, "EH_ESTIMATE"},
    [EH_STILL] = {0.0, 1.0, 0.0, 1, "EH_STILL"},
};

static const char CONTRACT[] = "2";

eh_status eh_fail(eh_message *message, eh_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message->text, sizeof message->text, format, arguments);
    va_end(arguments);
    return status;
}

eh_status eh_out_of_memory(eh_message *message) {
    return eh_fail(message, EH_ERROR_MEMORY, "there is not enough memory (use smaller frames)");
}

eh_box eh_bounding_box(const eh_picture *plane) {
    eh_box box = {0, 0, 0, 0};
    for (integer y = 0; y < plane->height; y++) {
        const uint8_t *line = eh_row(plane, y);
        integer first = 0, last = plane->width;
        while (first + 8 <= last) { /* eight at once: most rows have nothing at their ends */
            uint64_t any;
            memcpy(&any, line + first, sizeof any);
            if (any) break;
            first += 8;
        }
        while (first < last && !line[first]) first++;
        if (first == last) continue;
        while (last - 8 >= first) {
            uint64_t any;
            memcpy(&any, line + last - 8, sizeof any);
            if (any) break;
            last -= 8;
        }
        while (!line[last - 1]) last--;
        eh_box_take(&box, y, first, last);
    }
    return box;
}

const char *eh_version(void) { return EDGE_HARMONY_VERSION; }
int32_t eh_abi(void) { return EDGE_HARMONY_ABI; }

void eh_options_init(eh_options *options, size_t size) {
    memset(options, 0, size);
    options->size = size;
}

static eh_status open_models(eh_stream *s, const eh_options *options) {
    eh_message *message = &s->message;
    const int threads = eh_threads_count(s->tools.threads);
    const int model = options->model_path || options->model_bytes, matte = options->matte_path || options->matte_bytes;
    eh_status status = EH_OK;
    if (model || matte) status = eh_runtime_open(&s->runtime, options, message);
    if (status == EH_OK && model) {
        const int64_t shapes[3][EH_MOST_DIMENSIONS] = {{1, 3, EH_WORKING_SIDE, EH_WORKING_SIDE},
                                                       {1, 1, EH_WORKING_SIDE, EH_WORKING_SIDE},
                                                       {1, EH_MAP, EH_GRID, EH_GRID}};
        s->network.inputs = 2;
        s->network.names_in[0] = "composite";
        s->network.names_in[1] = "mask";
        s->network.names_out[0] = "transform";
        status = eh_session_open(&s->network, &s->runtime, options->model_path, options->model_bytes,
                                 options->model_size, "transform", CONTRACT, threads, message);
        if (status == EH_OK) status = eh_session_shape(&s->network, shapes, message);
        s->has_network = status == EH_OK;
    }
    if (status == EH_OK && matte) {
        status = eh_person_open(&s->person, &s->runtime, options->matte_path, options->matte_bytes, options->matte_size,
                                threads, message);
        s->has_person = status == EH_OK;
        s->settings[EH_ESTIMATE] = 1.0;
    }
    return status;
}

eh_status eh_open(const eh_options *given, eh_stream **stream, char *message, size_t message_size) {
    eh_message unheard;
    eh_options options;
    eh_status status = EH_OK;
    if (stream) *stream = 0;
    eh_options_init(&options, sizeof options);
    eh_stream *s = 0;
    if (!given || !stream) {
        status = eh_fail(&unheard, EH_ERROR_ARGUMENT, "options or stream is null (pass addresses of your own)");
    } else if (given->size < offsetof(eh_options, threads) + sizeof given->threads) {
        status = eh_fail(&unheard, EH_ERROR_ARGUMENT,
                         "the options say no size (call eh_options_init(&options, sizeof options) first)");
    } else if (given->threads < 0) {
        status = eh_fail(&unheard, EH_ERROR_ARGUMENT, "threads is %d (use 1 or more, or 0 for all processors)",
                         given->threads);
    } else {
        memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
        s = (eh_stream *)calloc(1, sizeof *s);
        if (!s) status = eh_out_of_memory(&unheard);
    }
    if (s) {
        for (int i = 1; i < EH_SETTINGS; i++) s->settings[i] = SETTINGS[i].usual;
        eh_identity(s->transform);
        s->tools.message = &s->message;
        s->tools.passes = eh_choose_passes();
        s->tools.threads = eh_threads_start(options.threads ? options.threads : eh_processors());
        status = s->tools.threads ? open_models(s, &options) : eh_out_of_memory(&s->message);
        unheard = s->message;
        if (status == EH_OK) {
            *stream = s;
        } else {
            eh_close(s);
        }
    }
    if (message && message_size) snprintf(message, message_size, "%s", status == EH_OK ? "" : unheard.text);
    return status;
}

void eh_close(eh_stream *s) {
    if (!s) return;
    eh_memory *kept[] = {&s->alpha,       &s->straight,         &s->fitted,    &s->cropped, &s->small_frame,
                         &s->small_alpha, &s->small_background, &s->composite, &s->nothing, &s->scratch};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) eh_release(kept[i]);
    eh_conversion_free(&s->frame);
    eh_conversion_free(&s->background);
    eh_conversion_free(&s->output);
    eh_resizer_free(&s->view);
    eh_resizer_free(&s->fitting);
    eh_foreground_free(&s->foreground);
    eh_finishing_free(&s->finishing);
    eh_person_close(&s->person);
    eh_session_close(&s->network);
    eh_runtime_close(&s->runtime);
    eh_threads_stop(s->tools.threads);
    free(s);
}

const char *eh_error(const eh_stream *s) { return s ? s->message.text : "the stream is null (open one with eh_open)"; }

eh_status eh_set(eh_stream *s, int32_t setting, double value) {
    if (!s) return EH_ERROR_ARGUMENT;
    if (setting < 1 || setting >= EH_SETTINGS)
        return eh_fail(&s->message, EH_ERROR_ARGUMENT, "there is no setting %d (use EH_STRENGTH and its kin)", setting);
    if (!(value >= SETTINGS[setting].least && value <= SETTINGS[setting].most) ||
        (SETTINGS[setting].whole && value != floor(value)))
        return eh_fail(&s->message, EH_ERROR_ARGUMENT, "%s is %g (use %s%g to %g)", SETTINGS[setting].name, value,
                       SETTINGS[setting].whole ? "a whole number from " : "", SETTINGS[setting].least,
                       SETTINGS[setting].most);
    s->settings[setting] = value;
    return EH_OK;
}

eh_status eh_get(const eh_stream *s, int32_t setting, double *value) {
    if (!s || !value || setting < 1 || setting >= EH_SETTINGS) return EH_ERROR_ARGUMENT;
    *value = s->settings[setting];
    return EH_OK;
}

eh_status eh_reset(eh_stream *s) {
    if (!s) return EH_ERROR_ARGUMENT;
    s->smoother.seen = s->scene.seen = s->predicted = s->seen_grey = s->has_time = s->has_grain = s->known.valid = 0;
    s->frames = s->reused = 0;
    eh_identity(s->transform);
    eh_person_reset(&s->person);
    return EH_OK;
}

eh_status eh_transform(const eh_stream *s, float *transform) {
    if (!s || !transform) return EH_ERROR_ARGUMENT;
    memcpy(transform, s->transform, sizeof s->transform);
    return EH_OK;
}

int64_t eh_reused(const eh_stream *s) { return s ? s->reused : 0; }
