// The encoder with the vectors of vec_avx512.h.
#include "backend/cpu/vec_avx512.h"
// the vectors come first
#include "backend/cpu/encode/encode_rows.h"
namespace rafter::backend::cpu {
extern const EncodeRows kEncodeAvx512 = encode_rows;
extern const DecodeNumbers kDecodeAvx512 = decode_numbers;
}  // namespace rafter::backend::cpu
