/* An OBS filter for cameras and other asynchronous video: the subject before another background, harmonized with it.
 *
 * The pixels are libedgeharmony's, on the CPU, before OBS uploads the frame. A frame goes through `filter_video` in the
 * format it came in; one that cannot be worked on goes through as it is, and the log and the properties say why.
 */
#include <obs-module.h>
#include <util/platform.h>
#include <util/threading.h>

#include <edge_harmony.h>

OBS_DECLARE_MODULE()

#define SAY(level, format, ...) blog(level, "[edge-harmony] " format, ##__VA_ARGS__)

/* Planes of an image with its luma and chroma apart, as 4:2:2 frames have them in several orders. */
struct planes {
    uint8_t *at[3];
    int64_t stride[3];
    int step[3]; /* bytes from one sample to the next */
};

struct filter {
    pthread_mutex_t mutex; /* settings come from another thread than frames */
    eh_stream *stream;
    char *model, *matte;
    char problem[512], frame_problem[512]; /* of settings and of frames, as the properties have it; empty: none */
    char *picture;     /* the background's path, or empty */
    uint8_t *background;
    eh_image behind;
    uint32_t colour;
    uint8_t *work; /* one or two images: 4:2:0 of a 4:2:2 frame, and the result */
    size_t work_size;
};

static void set_problem(char problem[512], const char *text) {
    if (strncmp(problem, text, 511) == 0) return; /* said already */
    snprintf(problem, 512, "%s", text);
    if (*text) SAY(LOG_ERROR, "%s", text);
}

static void open_stream(struct filter *filter, const char *model, const char *matte, int threads) {
    char message[512];
    eh_options options;
    eh_close(filter->stream);
    filter->stream = NULL;
    eh_options_init(&options, sizeof options);
    options.model_path = model;
    options.matte_path = matte;
    options.threads = threads;
    if (eh_open(&options, &filter->stream, message, sizeof message) != EH_OK) {
        set_problem(filter->problem, message);
        return;
    }
    eh_set(filter->stream, EH_STILL, 1);
}

/* A picture, or one of a colour. The old one is freed last, so that another address tells the library of the new. */
static void open_background(struct filter *filter, const char *path, uint32_t colour) {
    uint8_t *before = filter->background;
    uint32_t width = 64, height = 64;
    enum gs_color_format format = GS_BGRA;
    filter->background = *path ? gs_create_texture_file_data(path, &format, &width, &height) : NULL;
    if (*path && (!filter->background || (format != GS_BGRA && format != GS_RGBA && format != GS_BGRX))) {
        char text[512];
        snprintf(text, sizeof text, "the background %s cannot be read: choose another picture", path);
        set_problem(filter->problem, text);
        bfree(filter->background);
        filter->background = NULL;
    }
    if (!filter->background) {
        width = height = 64;
        format = GS_RGBA; /* as OBS keeps colours: red first */
        filter->background = bmalloc(64 * 64 * 4);
        for (int i = 0; i < 64 * 64; i++) memcpy(filter->background + 4 * i, &colour, 4);
    }
    filter->behind = (eh_image){format == GS_RGBA ? EH_RGBA : EH_BGRA, (int32_t)width, (int32_t)height, EH_COLOUR_AUTO,
                                {filter->background}, {4 * (int64_t)width}};
    bfree(before);
    bfree(filter->picture);
    filter->picture = bstrdup(*filter->problem ? "" : path); /* one that failed is tried again */
    filter->colour = colour;
}

static void update(void *data, obs_data_t *settings) {
    struct filter *filter = data;
    const char *model = obs_data_get_string(settings, "model"), *matte = obs_data_get_string(settings, "matte");
    const char *picture = obs_data_get_string(settings, "background");
    const uint32_t colour = (uint32_t)obs_data_get_int(settings, "colour");
    pthread_mutex_lock(&filter->mutex);
    set_problem(filter->problem, "");
    if (!filter->stream || strcmp(model, filter->model) || strcmp(matte, filter->matte)) {
        open_stream(filter, model, matte, (int)obs_data_get_int(settings, "threads"));
        bfree(filter->model);
        bfree(filter->matte);
        filter->model = bstrdup(model);
        filter->matte = bstrdup(matte);
    }
    if (!filter->background || strcmp(picture, filter->picture) || colour != filter->colour)
        open_background(filter, picture, colour);
    if (filter->stream) {
        const struct {
            int32_t setting;
            const char *name;
        } all[] = {{EH_STRENGTH, "strength"}, {EH_SMOOTHING, "smoothing"}, {EH_LIGHT_WRAP, "light_wrap"}, {EH_GRAIN, "grain"}};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (eh_set(filter->stream, all[i].setting, obs_data_get_double(settings, all[i].name)) != EH_OK)
                set_problem(filter->problem, eh_error(filter->stream));
    }
    pthread_mutex_unlock(&filter->mutex);
}

static void *create(obs_data_t *settings, obs_source_t *source) {
    UNUSED_PARAMETER(source);
    struct filter *filter = bzalloc(sizeof *filter);
    filter->model = bstrdup("");
    filter->matte = bstrdup("");
    filter->picture = bstrdup("");
    pthread_mutex_init(&filter->mutex, NULL);
    update(filter, settings);
    return filter;
}

static void destroy(void *data) {
    struct filter *filter = data;
    eh_close(filter->stream);
    pthread_mutex_destroy(&filter->mutex);
    bfree(filter->background);
    bfree(filter->model);
    bfree(filter->matte);
    bfree(filter->picture);
    bfree(filter->work);
    bfree(filter);
}

static const char *get_name(void *type_data) {
    UNUSED_PARAMETER(type_data);
    return "Edge Harmony";
}

static void get_defaults(obs_data_t *settings) {
    char *model = obs_module_file("base.onnx"), *matte = obs_module_file("person.onnx");
    obs_data_set_default_string(settings, "model", model ? model : "");
    obs_data_set_default_string(settings, "matte", matte ? matte : "");
    obs_data_set_default_int(settings, "colour", 0xff404040);
    obs_data_set_default_double(settings, "strength", 1.0);
    obs_data_set_default_double(settings, "smoothing", 0.8);
    bfree(model);
    bfree(matte);
}

static obs_properties_t *get_properties(void *data) {
    struct filter *filter = data;
    obs_properties_t *properties = obs_properties_create();
    if (filter) {
        pthread_mutex_lock(&filter->mutex);
        const char *problem = *filter->problem ? filter->problem : filter->frame_problem;
        if (*problem) obs_properties_add_text(properties, "problem", problem, OBS_TEXT_INFO);
        pthread_mutex_unlock(&filter->mutex);
    }
    obs_properties_add_path(properties, "background", "Background picture", OBS_PATH_FILE,
                            "Pictures (*.png *.jpg *.jpeg *.bmp *.tga)", NULL);
    obs_properties_add_color(properties, "colour", "Background colour, without a picture");
    obs_properties_add_float_slider(properties, "strength", "Strength", 0.0, 1.0, 0.05);
    obs_properties_add_float_slider(properties, "smoothing", "Smoothing", 0.0, 0.999, 0.05);
    obs_properties_add_float_slider(properties, "light_wrap", "Light wrap", 0.0, 1.0, 0.05);
    obs_properties_add_float_slider(properties, "grain", "Grain", 0.0, 1.0, 0.05);
    obs_properties_add_path(properties, "model", "Harmonizing model", OBS_PATH_FILE, "ONNX (*.onnx)", NULL);
    obs_properties_add_path(properties, "matte", "Matting model", OBS_PATH_FILE, "ONNX (*.onnx)", NULL);
    obs_properties_add_int(properties, "threads", "Threads (0: all, at most 8; when a model is opened)", 0, 64, 1);
    return properties;
}

/* The library's format of a frame; 0 for 4:2:2, which is worked on as 4:2:0, and -1 for those that are not. */
static int32_t format_of(const struct obs_source_frame *frame) {
    switch (frame->format) {
    case VIDEO_FORMAT_I420: return EH_I420;
    case VIDEO_FORMAT_NV12: return EH_NV12;
    case VIDEO_FORMAT_RGBA: return EH_RGBA;
    case VIDEO_FORMAT_BGRA:
    case VIDEO_FORMAT_BGRX: return EH_BGRA;
    case VIDEO_FORMAT_BGR3: return EH_BGR;
    case VIDEO_FORMAT_YUY2:
    case VIDEO_FORMAT_YVYU:
    case VIDEO_FORMAT_UYVY:
    case VIDEO_FORMAT_I422: return 0;
    default: return -1;
    }
}

static int32_t colour_of(const struct obs_source_frame *frame) {
    float matrix[16], least[3], most[3];
    const enum video_range_type range = frame->full_range ? VIDEO_RANGE_FULL : VIDEO_RANGE_PARTIAL;
    const bool is_601 = video_format_get_parameters(VIDEO_CS_601, range, matrix, least, most) &&
                        memcmp(matrix, frame->color_matrix, sizeof matrix) == 0;
    if (is_601) return frame->full_range ? EH_BT601_FULL : EH_BT601_LIMITED;
    return frame->full_range ? EH_BT709_FULL : EH_BT709_LIMITED;
}

/* An image of a format in memory of its own (rows without padding), or its size where that is null. */
static size_t lay_out(eh_image *image, int32_t format, int32_t width, int32_t height, int32_t colour, uint8_t *memory) {
    const int64_t pixel = format == EH_BGR ? 3 : format == EH_BGRA || format == EH_RGBA ? 4 : 1;
    const int64_t chroma = format == EH_NV12 ? width : format == EH_I420 ? width / 2 : 0;
    const size_t first = (size_t)(pixel * width * height), next = (size_t)(chroma * (height / 2));
    *image = (eh_image){format, width, height, colour, {memory}, {pixel * width, chroma, format == EH_I420 ? chroma : 0}};
    if (memory && chroma) image->plane[1] = memory + first;
    if (memory && format == EH_I420) image->plane[2] = memory + first + next;
    return first + next * (format == EH_I420 ? 2 : 1);
}

static struct planes planes_of(const struct obs_source_frame *frame) {
    uint8_t *const at = frame->data[0];
    const int64_t stride = frame->linesize[0];
    switch (frame->format) {
    case VIDEO_FORMAT_YUY2: return (struct planes){{at, at + 1, at + 3}, {stride, stride, stride}, {2, 4, 4}};
    case VIDEO_FORMAT_YVYU: return (struct planes){{at, at + 3, at + 1}, {stride, stride, stride}, {2, 4, 4}};
    case VIDEO_FORMAT_UYVY: return (struct planes){{at + 1, at, at + 2}, {stride, stride, stride}, {2, 4, 4}};
    default:
        return (struct planes){{at, frame->data[1], frame->data[2]},
                               {stride, frame->linesize[1], frame->linesize[2]}, {1, 1, 1}};
    }
}

/* 4:2:2 to 4:2:0, two rows of chroma averaged, or back, each taken twice. */
static void convert(const struct planes *wide, const eh_image *image, bool back) {
    for (int plane = 0; plane < 3; plane++) {
        const int columns = plane ? image->width / 2 : image->width, step = wide->step[plane];
        for (int row = 0; row < image->height; row++) {
            uint8_t *at = wide->at[plane] + row * wide->stride[plane];
            uint8_t *ours = (uint8_t *)image->plane[plane] + (plane ? row / 2 : row) * image->stride[plane];
            if (back)
                for (int x = 0; x < columns; x++) at[x * step] = ours[x];
            else if (!plane)
                for (int x = 0; x < columns; x++) ours[x] = at[x * step];
            else if (row % 2 == 0 && row + 1 < image->height)
                for (int x = 0; x < columns; x++)
                    ours[x] = (uint8_t)((at[x * step] + at[x * step + wide->stride[plane]] + 1) / 2);
        }
    }
}

/* The frame itself as an image; a flipped one begins at its last row. */
static eh_image image_of(const struct obs_source_frame *frame, int32_t format, int32_t colour) {
    eh_image image = {format, (int32_t)frame->width, (int32_t)frame->height, colour, {0}, {0}};
    const int planes = format == EH_I420 ? 3 : format == EH_NV12 ? 2 : 1;
    for (int i = 0; i < planes; i++) {
        const int64_t stride = frame->linesize[i], rows = i ? image.height / 2 : image.height;
        image.plane[i] = frame->data[i] + (frame->flip ? (rows - 1) * stride : 0);
        image.stride[i] = frame->flip ? -stride : stride;
    }
    return image;
}

static void copy_image(const eh_image *from, const eh_image *to) {
    for (int plane = 0; plane < 3 && from->plane[plane]; plane++)
        for (int row = 0; row < (plane ? from->height / 2 : from->height); row++)
            memcpy((uint8_t *)to->plane[plane] + row * to->stride[plane],
                   (const uint8_t *)from->plane[plane] + row * from->stride[plane], (size_t)from->stride[plane]);
}

static const char *work_on(struct filter *filter, struct obs_source_frame *frame) {
    const int32_t kind = format_of(frame), format = kind ? kind : EH_I420, colour = colour_of(frame);
    const int32_t width = (int32_t)frame->width, height = (int32_t)frame->height;
    if (kind < 0) return "this video format is not supported: choose YUY2, NV12, I420 or RGB in the camera's properties";
    if (kind != EH_BGR && kind != EH_BGRA && kind != EH_RGBA && (width % 2 || height % 2))
        return "this video has odd sides: choose another resolution in the camera's properties";
    eh_image result, frame_image;
    const size_t size = lay_out(&result, format, width, height, colour, NULL);
    if (filter->work_size < 2 * size) {
        filter->work = brealloc(filter->work, 2 * size);
        filter->work_size = 2 * size;
    }
    lay_out(&result, format, width, height, colour, filter->work);
    struct planes wide = planes_of(frame);
    for (int i = 0; i < 3 && frame->flip; i++) {
        wide.at[i] += (height - 1) * wide.stride[i];
        wide.stride[i] = -wide.stride[i];
    }
    if (kind) {
        frame_image = image_of(frame, format, colour);
    } else {
        lay_out(&frame_image, format, width, height, colour, filter->work + size);
        convert(&wide, &frame_image, false);
    }
    const double seconds = (double)frame->timestamp / 1e9;
    if (eh_process(filter->stream, &frame_image, NULL, &filter->behind, &result, seconds) != EH_OK)
        return eh_error(filter->stream);
    if (kind)
        copy_image(&result, &frame_image);
    else
        convert(&wide, &result, true);
    return "";
}

static struct obs_source_frame *filter_video(void *data, struct obs_source_frame *frame) {
    struct filter *filter = data;
    pthread_mutex_lock(&filter->mutex);
    if (filter->stream) set_problem(filter->frame_problem, work_on(filter, frame));
    pthread_mutex_unlock(&filter->mutex);
    return frame;
}

/* Visible, so that a test can hand frames to it without a screen. */
EXPORT struct obs_source_info edge_harmony_filter;
struct obs_source_info edge_harmony_filter = {
    .id = "edge_harmony_filter",
    .type = OBS_SOURCE_TYPE_FILTER,
    .output_flags = OBS_SOURCE_ASYNC_VIDEO,
    .get_name = get_name,
    .create = create,
    .destroy = destroy,
    .update = update,
    .get_defaults = get_defaults,
    .get_properties = get_properties,
    .filter_video = filter_video,
};

bool obs_module_load(void) {
    obs_register_source(&edge_harmony_filter);
    SAY(LOG_INFO, "loaded, libedgeharmony %s", eh_version());
    return true;
}
