#include "mh_tensors.h"

#include <string.h>

#include "mh_messages.h"
#include "mh_model.h"
#include "mh_payloads.h"
#include "mh_reply.h"

static uint32_t written[MH_MAX_INPUTS]; /* bytes of the next inference's input, without a gap */
static uint8_t outputs_valid;

void mh_tensor_info(const uint8_t *payload, uint16_t n)
{
    const mh_wire_tensor_info *request = (const void *)payload;
    const uint8_t kind = request->kind;
    const uint8_t index = request->index;
    (void)n;
    if (kind > MH_KIND_OUTPUT) {
        mh_fail(MH_E_BAD_INDEX, kind);
        return;
    }
    if (index >= (kind == MH_KIND_INPUT ? mh_model.inputs : mh_model.outputs)) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    const mh_buffer tensor = kind == MH_KIND_INPUT ? mh_model_input(index) : mh_model_output(index);
    const mh_wire_tensor_size told = {.size_bytes = tensor.bytes};
    mh_put_bytes(&told, sizeof told);
    mh_ok(MH_MSG_TENSOR_INFO);
}

void mh_write_input(const uint8_t *payload, uint16_t n)
{
    const mh_wire_write_input *request = (const void *)payload;
    const uint8_t index = request->index;
    const uint32_t offset = request->offset;
    const uint32_t bytes = (uint32_t)(n - sizeof *request);
    if (index >= mh_model.inputs) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    const mh_buffer input = mh_model_input(index);
    /* Going back (a lost answer, a new input) is fine, a gap is not. */
    if (offset > written[index]) {
        mh_fail(MH_E_BAD_OFFSET, written[index]);
        return;
    }
    if (bytes > input.bytes - offset) {
        mh_fail(MH_E_BAD_OFFSET, input.bytes);
        return;
    }
    memcpy((uint8_t *)input.data + offset, payload + sizeof *request, bytes);
    written[index] = offset + bytes;
    outputs_valid = 0; /* they may share memory with the input */
    const mh_wire_written told = {.reached = written[index]};
    mh_put_bytes(&told, sizeof told);
    mh_ok(MH_MSG_WRITE_INPUT);
}

uint8_t mh_inputs_complete(void)
{
    for (uint8_t i = 0; i < mh_model.inputs; i++) {
        if (written[i] != mh_model_input(i).bytes) {
            mh_fail(MH_E_NO_INPUT, i);
            return 0;
        }
    }
    return 1;
}

void mh_tensors_used(uint8_t has_result)
{
    memset(written, 0, sizeof written);
    outputs_valid = has_result;
}

uint8_t mh_outputs_valid(void)
{
    return outputs_valid;
}

uint32_t mh_output_bytes(void)
{
    uint32_t total = 0;
    for (uint8_t i = 0; i < mh_model.outputs; i++) {
        total += mh_model_output(i).bytes;
    }
    return total;
}

void mh_read_output(const uint8_t *payload, uint16_t n)
{
    const mh_wire_read_output *request = (const void *)payload;
    const uint8_t index = request->index;
    const uint32_t offset = request->offset;
    const uint32_t count = request->count;
    (void)n;
    if (index >= mh_model.outputs) {
        mh_fail(MH_E_BAD_INDEX, index);
        return;
    }
    if (!outputs_valid) {
        mh_fail(MH_E_NO_OUTPUT, index);
        return;
    }
    const mh_buffer output = mh_model_output(index);
    if (offset > output.bytes || count > output.bytes - offset || count > MH_MAX_PAYLOAD) {
        mh_fail(MH_E_BAD_OFFSET, output.bytes);
        return;
    }
    mh_put_bytes((const uint8_t *)output.data + offset, count);
    mh_ok(MH_MSG_READ_OUTPUT);
}
