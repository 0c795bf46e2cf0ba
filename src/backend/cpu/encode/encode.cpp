// The table of encoders by instruction set.
#include "backend/cpu/encode/encode.h"

#include "tensor/formats/formats.h"

namespace rafter::backend::cpu {

extern const EncodeRows kEncodeScalar;
extern const EncodeRows kEncodeAvx2;
extern const EncodeRows kEncodeAvx512;
extern const DecodeNumbers kDecodeScalar;
extern const DecodeNumbers kDecodeAvx2;
extern const DecodeNumbers kDecodeAvx512;

EncodeRows encoder(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kEncodeScalar;
        case Isa::kAvx2:
            return kEncodeAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kEncodeAvx512;
    }
    return kEncodeScalar;
}

DecodeNumbers decoder(Isa isa) {
    switch (isa) {
        case Isa::kScalar:
            return kDecodeScalar;
        case Isa::kAvx2:
            return kDecodeAvx2;
        case Isa::kAvx512:
        case Isa::kAmx:
            return kDecodeAvx512;
    }
    return kDecodeScalar;
}

}  // namespace rafter::backend::cpu

namespace rafter::backend {

EncodeRows host_encoder() {
    static const EncodeRows encode = cpu::encoder(cpu::best_isa());
    return encode;
}

void decode_weights(tensor::DType from, const std::byte* blocks, float* values, std::size_t n) {
    static const cpu::DecodeNumbers decode = cpu::decoder(cpu::best_isa());
    if (from == tensor::DType::kF16 || from == tensor::DType::kBF16) return decode(from, blocks, values, n);
    tensor::format_of(from).decode(blocks, values, n);
}

}  // namespace rafter::backend
