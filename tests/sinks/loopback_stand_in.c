/* A stand-in for v4l2loopback: loaded before libc, it answers the ioctls of V4L2 on an ordinary file.
   It checks what it is given against the kernel's own header. SIZE in the environment (WIDTHxHEIGHT) makes it
   insist on a size, as the real one does while another program has the device open; NO_YUYV refuses that format;
   CAMERA makes it a device that takes no pictures. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ioctl(int file, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (request == VIDIOC_QUERYCAP) {
        struct v4l2_capability *found = argument;
        memset(found, 0, sizeof *found);
        strcpy((char *)found->driver, "stand-in");
        strcpy((char *)found->card, "edge-harmony");
        found->device_caps = getenv("CAMERA") ? V4L2_CAP_VIDEO_CAPTURE : V4L2_CAP_VIDEO_OUTPUT;
        found->capabilities = V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_OUTPUT;
        return 0;
    }
    if (request == VIDIOC_S_FMT) {
        struct v4l2_format *wanted = argument;
        struct v4l2_pix_format *pix = &wanted->fmt.pix;
        int yuyv = pix->pixelformat == V4L2_PIX_FMT_YUYV;
        if (wanted->type != V4L2_BUF_TYPE_VIDEO_OUTPUT || (yuyv && getenv("NO_YUYV"))) {
            errno = EINVAL;
            return -1;
        }
        if (pix->field != V4L2_FIELD_NONE || pix->priv != V4L2_PIX_FMT_PRIV_MAGIC || pix->flags != 0 ||
            pix->colorspace != V4L2_COLORSPACE_SRGB || pix->ycbcr_enc != V4L2_YCBCR_ENC_601 ||
            pix->quantization != V4L2_QUANTIZATION_LIM_RANGE ||
            pix->bytesperline != pix->width * (yuyv ? 2 : 1) ||
            pix->sizeimage != pix->width * pix->height * (yuyv ? 4 : 3) / 2) {
            errno = EPROTO;
            return -1;
        }
        if (getenv("SIZE"))
            sscanf(getenv("SIZE"), "%ux%u", &pix->width, &pix->height);
        return 0;
    }
    int (*real)(int, unsigned long, ...) = dlsym(RTLD_NEXT, "ioctl");
    return real(file, request, argument);
}
