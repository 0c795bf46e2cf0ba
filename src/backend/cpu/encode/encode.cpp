// The table of encoders by instruction set.
#include "backend/cpu/encode/encode.h"

namespace rafter::backend::cpu {

extern const EncodeRows kEncodeScalar;
extern const EncodeRows kEncodeAvx2;
extern const EncodeRows kEncodeAvx512;

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

}  // namespace rafter::backend::cpu

namespace rafter::backend {

EncodeRows host_encoder() {
    static const EncodeRows encode = cpu::encoder(cpu::best_isa());
    return encode;
}

}  // namespace rafter::backend
