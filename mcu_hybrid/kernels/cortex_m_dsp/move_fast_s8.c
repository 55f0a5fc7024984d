/* PAD, TRANSPOSE, STRIDED_SLICE: runs of bytes, four to a word where they are neighbours. */
#include "mh_dw.h"
#include "mh_nn_fast_ew.h"

int8_t *mh_copy_bytes(int8_t *dst, const int8_t *src, int32_t bytes);
int8_t *mh_fill_bytes(int8_t *dst, uint32_t four, int32_t bytes);
/* Bytes from every step-th place. All three return the end of what they wrote. */
int8_t *mh_pick_bytes(int8_t *dst, const int8_t *src, int32_t bytes, int32_t step);

mh_status mh_pad_fast_s8(const mh_pad_fast_params *p, const int8_t *in, int8_t *out, void *scratch)
{
    const uint32_t four = (uint32_t)(p->value & 0xff) * 0x01010101u; /* the byte four times */
    int32_t border = p->before; /* bytes of padding up to the next run */
    (void)scratch;
    for (int32_t plane = 0; plane < p->planes; plane++) {
        border += p->plane_before;
        for (int32_t row = 0; row < p->rows; row++) {
            out = mh_fill_bytes(out, four, border + p->run_before);
            out = mh_copy_bytes(out, in, p->run);
            in += p->run;
            border = p->run_after;
        }
        border += p->plane_after;
    }
    mh_fill_bytes(out, four, border + p->after);
    return MH_OK;
}

mh_status mh_copy_fast_s8(const mh_copy_fast_params *p, const int8_t *in, int8_t *out,
                          void *scratch)
{
    const int32_t *n = p->loops;
    const int32_t *s = n + MH_COPY_FAST_LOOPS;
    (void)scratch;
    in += p->offset;
    for (int32_t i = 0; i < n[0]; i++) {
        for (int32_t j = 0; j < n[1]; j++) {
            for (int32_t k = 0; k < n[2]; k++) {
                const int8_t *from = in + i * s[0] + j * s[1] + k * s[2];
                for (int32_t l = 0; l < n[3]; l++, from += s[3]) {
                    out = s[4] == 1 ? mh_copy_bytes(out, from, n[4])
                                    : mh_pick_bytes(out, from, n[4], s[4]);
                }
            }
        }
    }
    return MH_OK;
}
