// A subject over a background, harmonized, in C++: see composite.c. Shows an owner for the stream, and errors as
// exceptions.
#include <edge_harmony.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using Bytes = std::vector<char>;

class Harmonizer {
public:
    explicit Harmonizer(const std::string &model) {
        eh_options options;
        eh_options_init(&options, sizeof options);
        options.model_path = model.c_str();
        char message[512];
        eh_stream *stream = nullptr;
        if (eh_open(&options, &stream, message, sizeof message) != EH_OK) throw std::runtime_error(message);
        stream_.reset(stream);
    }

    void process(const eh_image &frame, const eh_image &alpha, const eh_image &background, const eh_image &out) {
        if (eh_process(stream_.get(), &frame, &alpha, &background, &out, EH_NO_TIME) != EH_OK)
            throw std::runtime_error(eh_error(stream_.get()));
    }

private:
    struct Close {
        void operator()(eh_stream *stream) const { eh_close(stream); }
    };
    std::unique_ptr<eh_stream, Close> stream_;
};

Bytes read(const std::string &path, std::size_t size) {
    std::ifstream file(path, std::ios::binary);
    Bytes bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (bytes.size() != size) throw std::runtime_error(path + ": " + std::to_string(size) + " bytes are needed");
    return bytes;
}

eh_image image(int32_t format, int32_t width, int32_t height, Bytes &bytes) {
    eh_image made{};
    made.format = format;
    made.width = width;
    made.height = height;
    made.plane[0] = bytes.data();
    made.stride[0] = static_cast<int64_t>(width) * (format == EH_GREY ? 1 : 3);
    return made;
}

}  // namespace

int main(int count, char **words) {
    if (count != 8) {
        std::cerr << "usage: composite MODEL.onnx WIDTH HEIGHT FRAME ALPHA BACKGROUND OUT\n";
        return 2;
    }
    try {
        const int32_t width = std::stoi(words[2]), height = std::stoi(words[3]);
        const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
        Bytes frame = read(words[4], 3 * pixels), alpha = read(words[5], pixels),
              background = read(words[6], 3 * pixels);
        Bytes out(3 * pixels);
        Harmonizer harmonizer(words[1]);
        harmonizer.process(image(EH_BGR, width, height, frame), image(EH_GREY, width, height, alpha),
                           image(EH_BGR, width, height, background), image(EH_BGR, width, height, out));
        std::ofstream file(words[7], std::ios::binary);
        file.write(out.data(), static_cast<std::streamsize>(out.size()));
        if (!file.flush()) throw std::runtime_error(std::string(words[7]) + " cannot be written");
    } catch (const std::exception &error) {
        std::cerr << "error: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
