/* ADD, SUB, MUL, functions of one byte (as tables), and moving of bytes. Unless said otherwise an
 * output must not overlap an input. Everything else that kernels share is in mh_types.h. */
#ifndef MH_NN_ELEMENTWISE_H
#define MH_NN_ELEMENTWISE_H

#include "mh_types.h"

/* Headroom of the operands of ADD and SUB: 255 << 20 still fits 32 bits, as does the sum. */
#define MH_ADD_LEFT_SHIFT 20

/* Nested loops of broadcasting, outermost first; a stride of 0 repeats the operand.
 * loops = MH_BROADCAST_LOOPS extents, then as many element strides of a, then of b. */
#define MH_BROADCAST_LOOPS 4 /* neighbouring dimensions that repeat alike are merged before */

/* ADD and SUB. In place on an operand that has the output's shape. */
typedef struct {
    int32_t a_offset; /* minus the zero point of a */
    int32_t b_offset;
    int32_t out_offset; /* the zero point of the output */
    int32_t a_mult;
    int32_t a_shift;
    int32_t b_mult;
    int32_t b_shift;
    int32_t out_mult;
    int32_t out_shift;
    int32_t lo; /* bounds of the fused activation, within int8 */
    int32_t hi;
    const int32_t *loops;
} mh_add_params;

mh_status mh_add_s8(const mh_add_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                    void *scratch);
mh_status mh_sub_s8(const mh_add_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                    void *scratch);

/* In place on an operand that has the output's shape. */
typedef struct {
    int32_t a_offset;
    int32_t b_offset;
    int32_t out_offset;
    int32_t mult;
    int32_t shift;
    int32_t lo;
    int32_t hi;
    const int32_t *loops;
} mh_mul_params;

mh_status mh_mul_s8(const mh_mul_params *p, const int8_t *a, const int8_t *b, int8_t *out,
                    void *scratch);

/* Any function of one int8: table[(uint8_t)x], so 0 .. 127 come first. In place. */
typedef struct {
    int32_t size;
    const int8_t *table; /* 256 entries */
} mh_lut_params;

mh_status mh_lut_s8(const mh_lut_params *p, const int8_t *in, int8_t *out, void *scratch);

/* outer times: runs[i] bytes from each input in turn. */
typedef struct {
    int32_t outer;
    int32_t inputs;
    const int32_t *runs;
} mh_concatenation_params;

mh_status mh_concatenation_s8(const mh_concatenation_params *p, const int8_t *const *ins,
                              int8_t *out, void *scratch);

/* outer times: runs[i] bytes to each output in turn. */
typedef struct {
    int32_t outer;
    int32_t outputs;
    const int32_t *runs;
} mh_split_params;

mh_status mh_split_s8(const mh_split_params *p, const int8_t *in, int8_t *const *outs,
                      void *scratch);

/* rows[y] and columns[x] are the input pixel that output pixel (y, x) copies. */
typedef struct {
    int32_t batch;
    int32_t in_h;
    int32_t in_w;
    int32_t out_h;
    int32_t out_w;
    int32_t channels;
    const uint16_t *rows;
    const uint16_t *columns;
} mh_resize_nearest_params;

mh_status mh_resize_nearest_s8(const mh_resize_nearest_params *p, const int8_t *in, int8_t *out,
                               void *scratch);

/* TRANSPOSE and STRIDED_SLICE: reads with strides from in + offset, writes in order.
 * loops = MH_COPY_LOOPS extents, outermost first, then as many element strides (any sign). */
#define MH_COPY_LOOPS 5 /* dimensions of TFLM's TRANSPOSE */

typedef struct {
    int32_t offset;
    const int32_t *loops;
} mh_strided_copy_params;

mh_status mh_strided_copy_s8(const mh_strided_copy_params *p, const int8_t *in, int8_t *out,
                             void *scratch);

/* Moves bytes to a lower address; source and target may overlap. Schedules use it to keep rows. */
void mh_rows_s8(int8_t *to, const int8_t *from, int32_t bytes);

#endif
