// The loops by instruction set: one row each.
#include "probe/machine_kernels.h"

namespace rafter::probe {

const MachineKernels& machine_kernels(backend::cpu::Isa isa) {
    switch (isa) {
        case backend::cpu::Isa::kAvx2:
            return kMachineAvx2;
        case backend::cpu::Isa::kAvx512:
            return kMachineAvx512;
        case backend::cpu::Isa::kAmx:
            return kMachineAmx;
        case backend::cpu::Isa::kScalar:
            break;
    }
    return kMachineScalar;
}

}  // namespace rafter::probe
