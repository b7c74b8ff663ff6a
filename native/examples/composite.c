/* A subject over a background, harmonized, in C.
 *
 *   composite MODEL.onnx WIDTH HEIGHT FRAME ALPHA BACKGROUND OUT
 *
 * FRAME, BACKGROUND and OUT are files of BGR bytes, ALPHA one of a byte a pixel, all of one size. The same program is
 * here in C++, Rust and C#. EDGE_HARMONY_ONNXRUNTIME names ONNX Runtime's library where it is not found by itself.
 */
#include <edge_harmony.h>

#include <stdio.h>
#include <stdlib.h>

static int read_file(const char *path, void *target, size_t size) {
    FILE *file = fopen(path, "rb");
    size_t read = file ? fread(target, 1, size, file) : 0;
    if (file) fclose(file);
    if (read != size) fprintf(stderr, "%s: %lu bytes are needed\n", path, (unsigned long)size);
    return read == size;
}

int main(int count, char **words) {
    if (count != 8) {
        fprintf(stderr, "usage: composite MODEL.onnx WIDTH HEIGHT FRAME ALPHA BACKGROUND OUT\n");
        return 2;
    }
    const int32_t width = atoi(words[2]), height = atoi(words[3]);
    const size_t pixels = (size_t)width * (size_t)height;
    unsigned char *memory = malloc(10 * pixels);
    if (!memory || !read_file(words[4], memory, 3 * pixels) || !read_file(words[5], memory + 9 * pixels, pixels) ||
        !read_file(words[6], memory + 3 * pixels, 3 * pixels))
        return 1;

    eh_options options;
    eh_options_init(&options, sizeof options);
    options.model_path = words[1];
    eh_stream *stream;
    char message[512];
    if (eh_open(&options, &stream, message, sizeof message) != EH_OK) {
        fprintf(stderr, "error: %s\n", message);
        return 1;
    }

    const eh_image frame = {EH_BGR, width, height, 0, {memory}, {3 * width}};
    const eh_image background = {EH_BGR, width, height, 0, {memory + 3 * pixels}, {3 * width}};
    const eh_image out = {EH_BGR, width, height, 0, {memory + 6 * pixels}, {3 * width}};
    const eh_image alpha = {EH_GREY, width, height, 0, {memory + 9 * pixels}, {width}};
    /* A stream's frames go through one after the other; here it is one. */
    if (eh_process(stream, &frame, &alpha, &background, &out, EH_NO_TIME) != EH_OK) {
        fprintf(stderr, "error: %s\n", eh_error(stream));
        return 1;
    }
    FILE *file = fopen(words[7], "wb");
    const int written = file && fwrite(out.plane[0], 1, 3 * pixels, file) == 3 * pixels && fclose(file) == 0;
    eh_close(stream);
    free(memory);
    return written ? 0 : 1;
}
