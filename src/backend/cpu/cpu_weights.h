// A program's weights in memory, as kernels read them: matrices packed once into huge pages, vectors as floats. A tensor that several
// weights name (an embedding that is also the head) is there once. Matrices that are held as another type than the file's are decoded and
// encoded by the formats' reference functions, a panel at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/packed_matrix.h"
#include "backend/cpu/split.h"
#include "base/os_memory.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "files/tensor_source.h"
#include "model/program.h"

namespace rafter::backend::cpu {

class CpuWeights {
  public:
    // What load() will take.
    [[nodiscard]] static std::size_t needed_bytes(const model::Program& program);
    // The pool's threads pack; source pages are given back on the way. Of the options: progress and let_others.
    [[nodiscard]] static Result<CpuWeights> load(const model::Program& program, const files::TensorSource& source, ThreadPool& pool,
                                                 const LoadOptions& options);

    // Of a kMatrix or kEmbedding.
    [[nodiscard]] const PackedMatrix& matrix(model::WeightId weight) const { return places_[weight].matrix; }
    // One expert's, of a kExperts.
    [[nodiscard]] PackedMatrix expert(model::WeightId weight, std::uint32_t expert) const {
        PackedMatrix m = places_[weight].matrix;
        m.data += expert * places_[weight].expert_bytes;
        return m;
    }
    // [n_cols] of a kVector; of expert `row` of a kVectors.
    [[nodiscard]] const float* vector(model::WeightId weight, std::uint32_t row = 0) const {
        return places_[weight].vector + row * places_[weight].vector_stride;
    }
    [[nodiscard]] std::size_t size_bytes() const { return memory_.size_bytes(); }

  private:
    struct Place {
        PackedMatrix matrix;           // of the first expert
        std::size_t expert_bytes = 0;  // from an expert to the next
        float* vector = nullptr;
        std::size_t vector_stride = 0;  // floats
        std::byte* data = nullptr;
        bool first_use = false;  // of its tensor: later weights of the same rows share the place
    };
    struct Layout;

    [[nodiscard]] Result<void> pack(const model::Program& program, const files::TensorSource& source, ThreadPool& pool,
                                    const LoadOptions& options);
    void decode_vectors(const model::Program& program, const files::TensorSource& source);
    // scratch: a thread's part of what scratch_bytes() says. Allocates nothing.
    static void pack_share(const model::Weight& weight, const Place& place, const files::TensorSource& source, PanelRange range,
                           std::byte* scratch);

    PageBuffer memory_;
    std::vector<Place> places_;  // [n_weights]
};

}  // namespace rafter::backend::cpu
