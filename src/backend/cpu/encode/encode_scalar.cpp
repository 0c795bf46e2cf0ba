// The encoder with the vectors of vec_scalar.h.
#include "backend/cpu/vec_scalar.h"
// the vectors come first
#include "backend/cpu/encode/encode_rows.h"
namespace rafter::backend::cpu {
extern const EncodeRows kEncodeScalar = encode_rows;
extern const DecodeNumbers kDecodeScalar = decode_numbers;
}  // namespace rafter::backend::cpu
