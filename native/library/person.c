#include "person.h"

enum { SIDE = 288, STRIDE = 32, CHANGE_REACH = 2 };

static const double BLACK = 0.06, WHITE = 0.94;             /* alphas that become 0 and 1 */
static const float SAME = 3.0f, OTHER = 14.0f, HOLD = 3.0f; /* code values of change; see matte/steady.py */
static const float KEPT = 0.7f;                             /* of the earlier alpha, where nothing changed */

eh_status eh_person_open(eh_person *p, const eh_runtime *runtime, const char *path, const void *bytes, size_t size,
                         int threads, eh_message *message) {
    p->session.inputs = 1;
    p->session.names_in[0] = "picture";
    p->session.names_out[0] = "alpha";
    for (int code = 0; code < 256; code++) {
        double value = (code - BLACK * 255.0) / ((WHITE - BLACK) * 255.0);
        value = value < 0.0 ? 0.0 : value > 1.0 ? 1.0 : value;
        p->levels[code] = (uint8_t)floor(value * 255.0 + 0.5);
    }
    return eh_session_open(&p->session, runtime, path, bytes, size, "matte", 0, threads, message);
}

void eh_person_close(eh_person *p) {
    eh_session_close(&p->session);
    eh_memory *kept[] = {&p->previous, &p->seen, &p->shown, &p->alpha, &p->change, &p->scratch};
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) eh_release(kept[i]);
    eh_shrinker_free(&p->small);
    eh_appearance_free(&p->appearance);
    eh_guided_free(&p->guided);
}

void eh_person_reset(eh_person *p) { p->has_previous = p->has_view = p->appearance.seen = 0; }

/* The multiples of 32 whose shape is nearest to the frame's. */
static void view_size(integer height, integer width, integer *rows, integer *columns) {
    const double sides = SIDE * (double)smaller(height, width) / (double)larger(height, width);
    const integer below = larger(STRIDE, (integer)floor(sides / STRIDE) * STRIDE);
    const integer nearest = sides * sides < (double)(below * (below + STRIDE)) ? below : below + STRIDE;
    *rows = height <= width ? nearest : SIDE;
    *columns = height <= width ? SIDE : nearest;
}

static eh_status take_shape(eh_person *p, const eh_tools *tools, integer rows, integer columns) {
    const size_t count = (size_t)(rows * columns);
    const int64_t shapes[2][EH_MOST_DIMENSIONS] = {{1, 4, rows, columns}, {1, 1, rows, columns}};
    p->rows = p->columns = 0;
    eh_person_reset(p); /* what was learned is of another shape */
    const eh_status status = eh_session_shape(&p->session, shapes, tools->message);
    if (status != EH_OK) return status;
    if (!eh_reserve(&p->previous, count) || !eh_reserve(&p->seen, 3 * count) ||
        !eh_reserve(&p->shown, sizeof(float) * count) || !eh_reserve(&p->alpha, count) ||
        !eh_reserve(&p->change, sizeof(float) * count) ||
        !eh_reserve(&p->scratch, sizeof(double) * (count + (size_t)columns)))
        return eh_out_of_memory(tools->message);
    p->rows = rows;
    p->columns = columns;
    return EH_OK;
}

static eh_status run(eh_person *p, const eh_tools *tools, const eh_picture *view) {
    const integer count = p->rows * p->columns;
    const float scale = (float)(1.0 / 255.0);
    uint8_t *previous = (uint8_t *)p->previous.data;
    float *in = p->session.data_in[0];
    for (integer i = 0; i < count; i++) {
        for (integer k = 0; k < 3; k++) in[(2 - k) * count + i] = (float)view->data[3 * i + k] * scale;
        in[3 * count + i] = p->has_previous ? (float)previous[i] * scale : 0.0f;
    }
    const eh_status status = eh_session_run(&p->session, tools->message);
    if (status != EH_OK) return status;
    for (integer i = 0; i < count; i++) {
        const float value = p->session.data_out[i];
        if (!isfinite(value))
            return eh_fail(tools->message, EH_ERROR_MODEL, "%s gave NaN or infinity (it is damaged: copy it again)",
                           p->session.name);
        previous[i] = (uint8_t)(int)((value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value) * 255.0f + 0.5f);
    }
    const eh_picture alpha = eh_packed(previous, p->rows, p->columns, 1);
    p->has_previous = 1;
    return eh_appearance_correct(&p->appearance, tools, view, &alpha);
}

/* The mean of each pixel's change over 5 x 5, grown as far again. */
static void find_change(eh_person *p, const eh_picture *view) {
    const uint8_t *before = (const uint8_t *)p->seen.data;
    float *change = (float *)p->change.data, *grown = (float *)p->scratch.data;
    for (integer i = 0; i < p->rows * p->columns; i++) {
        int most = 0;
        for (integer k = 3 * i; k < 3 * i + 3; k++) {
            const int away = abs(view->data[k] - before[k]);
            most = away > most ? away : most;
        }
        change[i] = (float)most;
    }
    eh_box_mean(change, p->rows, p->columns, 1, CHANGE_REACH, EH_ABOUT, (double *)p->scratch.data);
    for (integer y = 0; y < p->rows; y++) {
        for (integer x = 0; x < p->columns; x++) {
            float most = 0.0f;
            for (integer u = larger(x - CHANGE_REACH, 0); u <= smaller(x + CHANGE_REACH, p->columns - 1); u++)
                most = change[y * p->columns + u] > most ? change[y * p->columns + u] : most;
            grown[y * p->columns + x] = most;
        }
    }
    for (integer y = 0; y < p->rows; y++) {
        for (integer x = 0; x < p->columns; x++) {
            float most = 0.0f;
            for (integer v = larger(y - CHANGE_REACH, 0); v <= smaller(y + CHANGE_REACH, p->rows - 1); v++)
                most = grown[v * p->columns + x] > most ? grown[v * p->columns + x] : most;
            change[y * p->columns + x] = most;
        }
    }
}

/* Average alpha over time where the picture stands still, and take it as it comes where something moves. */
static void steady(eh_person *p, const eh_picture *view, uint8_t *alpha) {
    const integer count = p->rows * p->columns;
    float *shown = (float *)p->shown.data;
    const float *change = (const float *)p->change.data;
    if (p->has_view) find_change(p, view);
    for (integer i = 0; i < count; i++) {
        if (!p->has_view) {
            shown[i] = (float)alpha[i];
            continue;
        }
        float moving = (change[i] - SAME) * (1.0f / (OTHER - SAME));
        moving = moving < 0.0f ? 0.0f : moving > 1.0f ? 1.0f : moving;
        float step = (float)alpha[i] - shown[i];
        if (fabsf(step) < HOLD && moving == 0.0f) step = 0.0f;
        shown[i] += step * ((1.0f - KEPT) + KEPT * moving);
        alpha[i] = (uint8_t)(int)(shown[i] + 0.5f);
    }
    memcpy(p->seen.data, view->data, 3 * (size_t)count);
    p->has_view = 1;
}

eh_status eh_person_alpha(eh_person *p, const eh_tools *tools, const eh_picture *frame, const eh_picture *alpha) {
    integer rows, columns;
    view_size(frame->height, frame->width, &rows, &columns);
    eh_status status = EH_OK;
    if (p->rows != rows || p->columns != columns) status = take_shape(p, tools, rows, columns);
    eh_picture view, packed;
    if (status == EH_OK) status = eh_shrink_to(&p->small, tools, frame, 3, rows, columns, &view);
    if (status == EH_OK) status = eh_pack(&p->small.halves[0], tools, &view, 3, &packed);
    if (status == EH_OK) status = run(p, tools, &packed);
    if (status != EH_OK) return status;
    uint8_t *small = (uint8_t *)p->alpha.data;
    const uint8_t *found = (const uint8_t *)p->previous.data;
    for (integer i = 0; i < rows * columns; i++) small[i] = p->levels[found[i]];
    steady(p, &packed, small);
    const eh_picture made = eh_packed(small, rows, columns, 1);
    if (frame->height == rows && frame->width == columns) {
        for (integer y = 0; y < rows; y++) memcpy(eh_row(alpha, y), eh_row(&made, y), (size_t)columns);
        return EH_OK;
    }
    const double down = (double)frame->height / (double)rows, across = (double)frame->width / (double)columns;
    const integer radius = larger(2, (integer)lrint(2.0 * (down > across ? down : across)));
    return eh_guided_alpha(&p->guided, tools, &made, frame, radius, alpha);
}
