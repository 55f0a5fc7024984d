/* Engine tflm: mh_model.h on top of TensorFlow Lite for Microcontrollers.
 *
 * Nothing here belongs to one model: the operators are in mh_tflm_ops.h, the networks, outputs and
 * sizes in mh_tflm_model.h. A hybrid is two networks: base (input to logits) and router (features
 * to score). Two interpreters run them in one arena, and between them our own kernel turns the
 * logits into features, as in the engine aot.
 */
#include <cstring>
#include <new>
#include <utility>

#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/memory_helpers.h"
#include "tensorflow/lite/micro/micro_allocator.h"
#include "tensorflow/lite/micro/micro_interpreter.h"

#include "mh_model.h"
#include "mh_tflm_model.h"
#include "mh_tflm_ops.h"

namespace
{

constexpr uint16_t kNoLayer = 0xFFFF;

using Kernel = TfLiteStatus (*)(TfLiteContext *, TfLiteNode *);

struct Run {
    mh_layer_hook hook;
    void *ctx;
    uint16_t layer;
};

Run run;
Kernel kernels[MH_TFLM_OPS]; /* what the observed registrations call */

#if MH_TFLM_LINK
int8_t logits[MH_TFLM_CLASSES]; /* the router's activations may overwrite the base's */
int8_t features[MH_TFLM_FEATURES];
int32_t scores[MH_ROUTE_SCORES];
#endif

void LayerDone(const void *out, size_t out_bytes)
{
    if (run.hook != nullptr) {
        run.hook(run.ctx, run.layer, out, static_cast<uint32_t>(out_bytes));
    }
    run.layer++;
}

#if MH_TFLM_LINK
TfLiteStatus LinkRoute(const void *out, size_t out_bytes)
{
    if (out_bytes != sizeof logits) {
        return kTfLiteError;
    }
    mh_layer_now = run.layer;
    std::memcpy(logits, out, sizeof logits);
    if (mh_route_features_s8(&mh_tflm_route, logits, features, scores, nullptr) != MH_OK) {
        return kTfLiteError;
    }
    LayerDone(features, sizeof features);
    return kTfLiteOk;
}
#endif

/* Runs one operator and reports it. TFLM's own profiler is not used: a library built with
 * BUILD_TYPE=release never calls it, and it does not hand out the operator's output. */
TfLiteStatus Observe(Kernel kernel, TfLiteContext *context, TfLiteNode *node)
{
    mh_layer_now = run.layer;
    const TfLiteStatus status = kernel(context, node);
    if (status != kTfLiteOk) {
        return status;
    }
#if MH_TFLM_LINK
    const bool link = run.layer == MH_TFLM_LOGITS_LAYER;
#else
    constexpr bool link = false;
#endif
    if (run.hook == nullptr && !link) {
        run.layer++;
        return kTfLiteOk;
    }
    const TfLiteEvalTensor *out = tflite::micro::GetEvalOutput(context, node, 0);
    size_t bytes = 0;
    const TfLiteStatus sized = tflite::TfLiteEvalTensorByteLength(out, &bytes);
    if (sized != kTfLiteOk) {
        return sized;
    }
    LayerDone(out->data.data, bytes);
#if MH_TFLM_LINK
    if (link) {
        return LinkRoute(out->data.data, bytes);
    }
#endif
    return kTfLiteOk;
}

template <int Op> TfLiteStatus Observed(TfLiteContext *context, TfLiteNode *node)
{
    return Observe(kernels[Op], context, node);
}

/* Hands out TFLM's registrations with Observe around their kernels. */
class Resolver : public tflite::MicroOpResolver
{
  public:
    bool Init()
    {
        return mh_tflm_add_ops(&ops_) && Wrap(std::make_integer_sequence<int, MH_TFLM_OPS>());
    }

    const TFLMRegistration *FindOp(tflite::BuiltinOperator op) const override
    {
        for (int i = 0; i < MH_TFLM_OPS; i++) {
            if (mh_tflm_codes[i] == op) {
                return &observed_[i];
            }
        }
        return nullptr;
    }

    const TFLMRegistration *FindOp(const char *) const override
    {
        return nullptr; /* no custom operators */
    }

    tflite::TfLiteBridgeBuiltinParseFunction
    GetOpDataParser(tflite::BuiltinOperator op) const override
    {
        return ops_.GetOpDataParser(op);
    }

  private:
    template <int... Op> bool Wrap(std::integer_sequence<int, Op...>)
    {
        return (WrapOne<Op>() && ...);
    }

    template <int Op> bool WrapOne()
    {
        const TFLMRegistration *found = ops_.FindOp(mh_tflm_codes[Op]);
        if (found == nullptr) {
            return false;
        }
        observed_[Op] = *found;
        kernels[Op] = found->invoke;
        observed_[Op].invoke = Observed<Op>;
        return true;
    }

    MhTflmOps ops_;
    TFLMRegistration observed_[MH_TFLM_OPS];

    TF_LITE_REMOVE_VIRTUAL_DELETE
};

/* Placement new instead of static objects: start-up code need not run constructors. */
template <class T> struct Storage {
    alignas(T) unsigned char bytes[sizeof(T)];
};

Storage<Resolver> resolver_storage;
Storage<tflite::MicroInterpreter> base_storage;
tflite::MicroInterpreter *base;
#if MH_TFLM_ROUTER
Storage<tflite::MicroInterpreter> router_storage;
tflite::MicroInterpreter *router;
#endif

mh_status Open(const unsigned char *data, const Resolver &resolver, tflite::MicroAllocator *memory,
               void *storage, tflite::MicroInterpreter **out)
{
    const tflite::Model *model = tflite::GetModel(data);
    if (model->version() != TFLITE_SCHEMA_VERSION) {
        return MH_ERR_SUPPORT;
    }
    auto *interpreter = new (storage) tflite::MicroInterpreter(model, resolver, memory);
    if (interpreter->AllocateTensors() != kTfLiteOk) {
        return MH_ERR_MEMORY;
    }
    *out = interpreter;
    return MH_OK;
}

mh_buffer Buffer(const TfLiteTensor *tensor)
{
    return {tensor->data.data, static_cast<uint32_t>(tensor->bytes)};
}

#if MH_TFLM_ROUTER
TfLiteStatus RunRouter()
{
    const mh_buffer input = Buffer(router->input(0));
    if (input.bytes != sizeof features) {
        return kTfLiteError;
    }
    std::memcpy(input.data, features, sizeof features);
    return router->Invoke();
}
#endif

} // namespace

volatile uint16_t mh_layer_now = kNoLayer;

mh_status mh_model_init(void)
{
    auto *resolver = new (resolver_storage.bytes) Resolver();
    if (!resolver->Init()) {
        return MH_ERR_SUPPORT;
    }
    tflite::MicroAllocator *memory = tflite::MicroAllocator::Create(arena, MH_TFLM_ARENA_BYTES);
    if (memory == nullptr) {
        return MH_ERR_MEMORY;
    }
    mh_status status = Open(mh_tflm_base, *resolver, memory, base_storage.bytes, &base);
#if MH_TFLM_ROUTER
    if (status == MH_OK) {
        status = Open(mh_tflm_router, *resolver, memory, router_storage.bytes, &router);
    }
#endif
    if (status == MH_OK) {
        mh_model.arena_bytes = static_cast<uint32_t>(base->arena_used_bytes());
    }
    return status;
}

mh_buffer mh_model_input(uint8_t index)
{
    return Buffer(base->input(index));
}

mh_buffer mh_model_output(uint8_t index)
{
    const mh_tflm_output from = mh_tflm_outputs[index];
    switch (from.source) {
#if MH_TFLM_LINK
    case MH_TFLM_FROM_LOGITS:
        return {logits, sizeof logits};
    case MH_TFLM_FROM_SCORES:
        return {scores, sizeof scores};
#endif
#if MH_TFLM_ROUTER
    case MH_TFLM_FROM_ROUTER:
        return Buffer(router->output(from.index));
#endif
    default:
        return Buffer(base->output(from.index));
    }
}

mh_status mh_model_run(mh_layer_hook hook, void *ctx)
{
    run = {hook, ctx, 0};
    TfLiteStatus status = base->Invoke();
#if MH_TFLM_ROUTER
    if (status == kTfLiteOk) {
        status = RunRouter();
    }
#endif
    if (status == kTfLiteOk) {
        mh_layer_now = kNoLayer;
    }
    return status == kTfLiteOk ? MH_OK : MH_ERR_SUPPORT;
}

/* TFLM's log has no way out: the console belongs to the protocol. Defined here, these also keep the
 * library's printf out of the firmware. */
extern "C" void DebugLog(const char *, va_list)
{
}

extern "C" int DebugVsnprintf(char *buffer, size_t size, const char *, va_list)
{
    if (size > 0) {
        buffer[0] = '\0';
    }
    return 0;
}
