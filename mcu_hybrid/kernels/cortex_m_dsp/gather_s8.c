/* Four channels of a row of pixels to four planes of int16, in words of two neighbours. */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

mh_span mh_columns(const mh_dw_params *p, int32_t x, int32_t width, int32_t stride)
{
    const int32_t begin = x * stride - p->pad_left;
    const int32_t end = begin + (width - 1) * stride + p->kernel_w;
    mh_span span;
    span.first = begin < 0 ? 0 : begin;
    span.count = (end < p->in_w ? end : p->in_w) - span.first;
    span.pad = span.first - begin;
    return span;
}

void mh_gather_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                     int32_t row_bytes)
{
    const int32_t lead = span->pad & 1;
    const int32_t rest = span->count - lead;
    const int32_t stepped = lead + (rest & ~1);
    job->pixel_bytes = p->in_pixel;
    job->offset = (uint32_t)(-p->in_zp & 0xffff) * 0x10001u; /* int16 twice */
    job->lead = lead;
    job->padding = (uint32_t)(p->in_zp & 0xff) * 0x01010101u;
    job->quad_bytes = 8 * (rest / 4);
    job->tail = rest & 3;
    job->src_step = p->in_row - stepped * p->in_pixel;
    job->dst_step = row_bytes - 4 * (lead + (rest + 1) / 2);
    job->dst_skip = span->pad / 2 * 4;
}
