// Every operation of the vec headers on one set of operands. Included after one of them, in a file compiled for its instruction set.
#pragma once

#include "tests/backend/vec_results.h"

namespace rafter::backend::cpu {
namespace {

// Appends an operation's lanes to the results.
class Recorder {
  public:
    explicit Recorder(tests::VecResults& results) : results_(results) {}

    void put(const char* name, F32x16 x) { store(reinterpret_cast<float*>(next(name).lane), x); }
    void put(const char* name, I32x16 x) { store(reinterpret_cast<std::int32_t*>(next(name).lane), x); }
    void put(const char* name, float x) { put(name, broadcast(x)); }
    void put(const char* name, std::int32_t x) { put(name, broadcast_int(x)); }
    void put_bytes(const char* name, const void* p, int n) { __builtin_memcpy(next(name).lane, p, static_cast<unsigned>(n)); }

  private:
    tests::VecResult& next(const char* name) {
        tests::VecResult& result = results_.rows[results_.n_rows++];
        result = {};
        result.name = name;
        return result;
    }
    tests::VecResults& results_;
};

void float_operations(const tests::VecOperands& x, Recorder& r) {
    const F32x16 a = load(x.a);
    const F32x16 b = load(x.b);
    const F32x16 c = load(x.c);
    r.put("zero", zero());
    r.put("+", a + b);
    r.put("-", a - b);
    r.put("*", a * b);
    r.put("/", a / b);
    r.put("negate", -a);
    r.put("abs", abs(a));
    r.put("fma", fma(a, b, c));
    r.put("max", max(a, b));
    r.put("min", min(a, b));
    r.put("sqrt", sqrt(abs(a)));
    r.put("round_nearest", round_nearest(a));
    r.put("select_less", select_less(a, b, c, a));
    r.put("reduce_sum", reduce_sum(a));
    r.put("reduce_max", reduce_max(a));
    r.put("as_int", as_int(a));
    for (int n = 1; n < kLanes; ++n) {
        r.put("load_partial", load_partial(x.a, n));
        float out[kLanes];
        store(out, c);
        store_partial(out, a, n);
        r.put("store_partial", load(out));
    }
}

void integer_operations(const tests::VecOperands& x, Recorder& r) {
    const I32x16 a = load(x.i);
    const I32x16 b = load(x.j);
    r.put("int +", a + b);
    r.put("int -", a - b);
    r.put("&", a & b);
    r.put("|", a | b);
    r.put("int max", max(a, b));
    r.put("int min", min(a, b));
    r.put("shift_left", shift_left<5>(a));
    r.put("shift_right", shift_right<5>(a));
    r.put("shift_right_signed", shift_right_signed<5>(a));
    r.put("to_float", to_float(a));
    r.put("as_float", as_float(a));
    r.put("to_int", to_int(load(x.small)));
    r.put("int reduce_sum", reduce_sum(shift_right_signed<5>(a)));
    r.put("int reduce_max", reduce_max(a));
    r.put("load_i8", load_i8(x.bytes));
    r.put("load_u8", load_u8(x.bytes));
    r.put("load_u4", load_u4(x.bytes));
    std::int8_t bytes[kLanes];
    store_i8(bytes, shift_right_signed<24>(a));
    r.put_bytes("store_i8", bytes, sizeof bytes);
}

void half_operations(const tests::VecOperands& x, Recorder& r) {
    std::uint16_t out[kLanes];
    r.put("load_f16", load_f16(x.halves));
    r.put("load_bf16", load_bf16(x.halves));
    store_f16(out, load(x.a));
    r.put_bytes("store_f16", out, sizeof out);
    store_bf16(out, load(x.a));
    r.put_bytes("store_bf16", out, sizeof out);
    for (int n = 1; n < kLanes; ++n) {
        r.put("load_f16_partial", load_f16_partial(x.halves, n));
        r.put("load_bf16_partial", load_bf16_partial(x.halves, n));
        __builtin_memcpy(out, x.halves, sizeof out);
        store_f16_partial(out, load(x.a), n);
        r.put_bytes("store_f16_partial", out, sizeof out);
        store_bf16_partial(out, load(x.b), n);
        r.put_bytes("store_bf16_partial", out, sizeof out);
    }
}

void all_operations(const tests::VecOperands& operands, tests::VecResults& results) {
    results.n_rows = 0;
    Recorder recorder(results);
    float_operations(operands, recorder);
    integer_operations(operands, recorder);
    half_operations(operands, recorder);
}

}  // namespace
}  // namespace rafter::backend::cpu
