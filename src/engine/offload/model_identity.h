// Whether two runs compute the same bits, so that keys and values of one are good for the other: the same weights, the same list of ops,
// the same kernels, on the same kind of machine.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "base/result.h"
#include "base/thread_pool.h"
#include "files/tensor_source.h"
#include "model/program.h"

namespace rafter::engine {

// Of all metadata and every byte of the tensors: a fine-tune may differ in one row of one of them. Reads the whole file, as loading does,
// with all threads: as fast as memory, or as the disk where it lies.
[[nodiscard]] std::uint64_t weights_identity(const files::TensorSource& source, ThreadPool& pool);

// Of the ops as they are executed with every value of their options, their encodings, and RoPE's factors, which follow from the context.
[[nodiscard]] std::uint64_t program_identity(const model::Program& program);

// Of this program's own file, the C library (sines and exponentials) and the CPU; `kernels` says the rest, such as the instruction set.
[[nodiscard]] Result<std::uint64_t> machine_identity(std::string_view kernels);

[[nodiscard]] std::uint64_t combined_identity(std::initializer_list<std::uint64_t> parts);

}  // namespace rafter::engine
