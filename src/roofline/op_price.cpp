// The bounds' names.
#include "roofline/op_price.h"

namespace rafter::roofline {

const char* to_string(PriceBound bound) {
    switch (bound) {
        case PriceBound::kMemory:
            return "memory";
        case PriceBound::kCompute:
            return "compute";
        case PriceBound::kOverhead:
            return "overhead";
    }
    return "?";
}

}  // namespace rafter::roofline
