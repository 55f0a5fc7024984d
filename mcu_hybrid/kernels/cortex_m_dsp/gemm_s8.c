/* The tiles of 3 pixels x 2 channels and of 1 pixel x 2 channels (gemm_s8.S) and the forms of their
 * requantisation. The unrolled loops are entered in their middle so that any number of steps comes
 * out even. */
#include "mh_small.h" /* before all others */
#include "mh_gemm.h"

void mh_gemm3(const mh_gemm_job *job, int8_t *out);
void mh_gemm3_loop(void);
void mh_gemm3_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm1(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_plain(const mh_gemm_job *job, int8_t *out);
void mh_gemm1_odd(void);
void mh_gemm1_loop(void);
void mh_tail1_line(void);
void mh_tail1_fine(void);
void mh_tail3_exact(void);
void mh_tail1_exact(void);
void mh_tail3_plain(void);
void mh_tail1_plain(void);

static const mh_gemm_tile tile = {mh_gemm3,      mh_gemm1,     mh_widen1, mh_gemm3_loop, MH_STEPS3,
                                  mh_gemm1_loop, mh_gemm1_odd, MH_STEPS1, MH_BYTES1};
/* The loops of the plain form have no entries in their middle. */
static const mh_gemm_tile tile_plain = {mh_gemm3_plain, mh_gemm1_plain, mh_widen1, NULL, 1,
                                        NULL,           NULL,           1,         0};

#define FORMS(s)                                                                                   \
    void mh_tail3_line##s(void);                                                                   \
    void mh_tail3_fine##s(void);                                                                   \
    MH_FORM_DEFINE(line##s, &tile, mh_tail3_line##s, mh_tail1_line)                                \
    MH_FORM_DEFINE(fine##s, &tile, mh_tail3_fine##s, mh_tail1_fine)
MH_FAST_SHIFTS(FORMS)
MH_FORM_DEFINE(exact, &tile, mh_tail3_exact, mh_tail1_exact)
MH_FORM_DEFINE(plain, &tile_plain, mh_tail3_plain, mh_tail1_plain)

/* Where n further steps begin in a loop of ``unrolled`` steps that take ``bytes`` of code each. */
static mh_code enter(mh_code loop, mh_code done, int32_t n, int32_t unrolled, int32_t bytes)
{
    const int32_t skipped = (unrolled - n % unrolled) % unrolled;
    return n == 0 ? done : (mh_code)((uintptr_t)loop + (uintptr_t)(skipped * bytes));
}

void mh_gemm_begin(mh_gemm_layer *layer, const mh_gemm_form *form, const mh_gemm_head *head,
                   uint32_t *column)
{
    const mh_gemm_tile *const with = form->tile;
    const int32_t more = head->steps - 1;
    mh_gemm_job *const three = &layer->three, *const one = &layer->one;
    layer->tile = with;
    layer->column = column;
    layer->out_c = head->out_c;
    layer->last_stream = head->stream + (head->out_c / 2) * head->pair_words;
    three->column = column;
    three->stream = head->stream;
    three->pairs = head->out_c / 2;
    three->stride = head->out_c;
    three->tail = form->tail3;
    three->end = column + 6 * head->steps;
    three->entry = enter(with->loop3, form->tail3, more, with->unrolled3, MH_BYTES3);
    three->last.zero_point = head->shift;
    *one = *three;
    one->stride = 0;
    if (form->tail1 != NULL) { /* else three times the same pixel, to the same place */
        one->stride = head->shift;
        one->tail = form->tail1;
        one->end = column + 2 * head->steps;
        one->last.entry_even =
            enter(with->loop1, form->tail1, more / 2, with->unrolled1, with->bytes1);
        one->entry = more % 2 ? with->odd1 : one->last.entry_even;
    }
}
