/* Loads the filter into a real libobs without a screen, hands it frames, and writes what comes back.
 *
 *   run_filter MODULE DATA SETTINGS.json FORMAT WIDTH HEIGHT < frames > results
 */
#include <obs-module.h>
#include <stdio.h>
#include <stdlib.h>
#include <util/platform.h>

static void say(int level, const char *format, va_list words, void *unused) {
    UNUSED_PARAMETER(unused);
    UNUSED_PARAMETER(level);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
}

static bool copy_plane(struct obs_source_frame *frame, int plane, size_t bytes, uint32_t rows, bool in) {
    for (uint32_t row = 0; row < rows; row++) {
        uint8_t *at = frame->data[plane] + (size_t)row * frame->linesize[plane];
        const size_t done = in ? fread(at, 1, bytes, stdin) : fwrite(at, 1, bytes, stdout);
        if (done != bytes) return false;
    }
    return true;
}

static bool copy(struct obs_source_frame *frame, bool in) {
    const uint32_t w = frame->width, h = frame->height;
    switch (frame->format) {
    case VIDEO_FORMAT_NV12: return copy_plane(frame, 0, w, h, in) && copy_plane(frame, 1, w, h / 2, in);
    case VIDEO_FORMAT_I420:
        return copy_plane(frame, 0, w, h, in) && copy_plane(frame, 1, w / 2, h / 2, in) &&
               copy_plane(frame, 2, w / 2, h / 2, in);
    case VIDEO_FORMAT_I422:
        return copy_plane(frame, 0, w, h, in) && copy_plane(frame, 1, w / 2, h, in) && copy_plane(frame, 2, w / 2, h, in);
    case VIDEO_FORMAT_YUY2:
    case VIDEO_FORMAT_UYVY: return copy_plane(frame, 0, 2 * w, h, in);
    case VIDEO_FORMAT_I444:
        return copy_plane(frame, 0, w, h, in) && copy_plane(frame, 1, w, h, in) && copy_plane(frame, 2, w, h, in);
    default: return copy_plane(frame, 0, 4 * w, h, in);
    }
}

int main(int count, char **words) {
    obs_module_t *module = NULL;
    base_set_log_handler(say, NULL); /* libobs' own writes to the output, too */
    if (count != 7 || !obs_startup("en-US", NULL, NULL)) return 2;
    if (obs_open_module(&module, words[1], words[2]) != MODULE_SUCCESS || !obs_init_module(module)) return 3;
    const struct obs_source_info *info = os_dlsym(obs_get_module_lib(module), "edge_harmony_filter");
    obs_data_t *settings = obs_data_create_from_json_file(words[3]);
    obs_source_t *source = info && settings ? obs_source_create_private(info->id, "ours", settings) : NULL;
    if (!source) return 4;
    obs_properties_t *properties = obs_source_properties(source);
    obs_property_t *problem = obs_properties_get(properties, "problem");
    if (problem) fprintf(stderr, "problem: %s\n", obs_property_description(problem));
    obs_properties_destroy(properties);

    const enum video_format format = (enum video_format)atoi(words[4]);
    struct obs_source_frame *frame = obs_source_frame_create(format, atoi(words[5]), atoi(words[6]));
    video_format_get_parameters(VIDEO_CS_709, VIDEO_RANGE_PARTIAL, frame->color_matrix, frame->color_range_min,
                                frame->color_range_max);
    for (int i = 0; copy(frame, true); i++) {
        frame->timestamp = 1000000000ull + i * 40000000ull;
        if (info->filter_video(obs_obj_get_data(source), frame) != frame || !copy(frame, false)) return 5;
    }
    obs_source_frame_destroy(frame);
    obs_source_release(source);
    obs_data_release(settings);
    obs_shutdown();
    fprintf(stderr, "leaks: %ld\n", bnum_allocs());
    return 0;
}
