/* Four channels of a row of pixels to four planes of words x0 + x1 * 2^21
 * (depthwise_kronecker_s8.c). */
#include "mh_small.h" /* before all others */
#include "mh_dw.h"

void mh_gather_kronecker1_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                                int32_t segment_bytes)
{
    mh_gather_begin(job, p, span, segment_bytes);
    job->offset = 0x00800080u; /* 128 twice: polynomials take inputs of 0 .. 255 */
}

void mh_gather_kronecker2_begin(mh_gather_job *job, const mh_dw_params *p, const mh_span *span,
                                int32_t segment_bytes)
{
    const uint32_t lead = (uint32_t)span->pad & 3u;
    const int32_t first = lead == 0 ? 0 : (int32_t)(4u - lead); /* pixels of the first quad */
    const int32_t cut = span->count < first ? first - span->count : 0;
    const int32_t rest = span->count - (first - cut);
    const int32_t quads = rest / 4 + (lead != 0);
    job->pixel_bytes = p->in_pixel;
    job->offset = 0x00800080u;
    job->lead = lead == 0 ? 0 : (int32_t)((0xfu >> cut) & (0xfu << lead));
    job->padding = (uint32_t)(p->in_zp & 0xff) * 0x01010101u;
    job->quad_bytes = 4 * quads;
    job->tail = (1 << (rest & 3)) - 1;
    job->src_step = p->in_row - span->count * p->in_pixel;
    job->dst_step = 2 * segment_bytes - 4 * (quads + (job->tail != 0));
    job->dst_skip = span->pad / 4 * 4;
}
