// The encoder with the vectors of vec_avx2.h.
#include "backend/cpu/vec_avx2.h"
// the vectors come first
#include "backend/cpu/encode/encode_rows.h"
namespace rafter::backend::cpu {
extern const EncodeRows kEncodeAvx2 = encode_rows;
extern const DecodeNumbers kDecodeAvx2 = decode_numbers;
}  // namespace rafter::backend::cpu
