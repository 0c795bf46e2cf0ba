// Prints the logits after each of some tokens, computed slowly in float64, so that tests in Python can compare with other programs:
//   print_logits MODEL TOKEN... > one JSON array a token
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine/loading/model_source.h"
#include "model/model_file.h"
#include "tests/support/naive_model.h"

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: print_logits MODEL TOKEN...\n");
        return 2;
    }
    const auto fail = [](const rafter::Error& error) {
        std::fprintf(stderr, "%s\n", error.message.c_str());
        return 1;
    };
    const auto source = rafter::engine::open_source(argv[1]);
    if (!source) return fail(source.error());
    const auto config = rafter::model::read_config(**source, {.context = static_cast<std::uint32_t>(argc - 2)});
    if (!config) return fail(config.error());
    const auto program = rafter::model::bind(rafter::model::build(*config), **source);
    if (!program) return fail(program.error());
    std::vector<std::int32_t> tokens;
    for (int i = 2; i < argc; ++i) tokens.push_back(std::atoi(argv[i]));
    const rafter::backend::NaiveModel model(*program, **source, rafter::backend::KvType::kF32, rafter::backend::KvType::kF32);
    for (const std::vector<double>& row : model.logits(tokens)) {
        for (std::size_t i = 0; i < row.size(); ++i) std::printf("%s%.9g", i == 0 ? "[" : ",", row[i]);
        std::printf("]\n");
    }
    return 0;
}
