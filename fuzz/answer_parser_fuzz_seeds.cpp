// Answers for the fuzzer to start from: a call in each notation.
//   answer_parser_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace {

// The notation's byte (see answer_parser_fuzz.cpp) and a text.
constexpr std::array<std::pair<char, std::string_view>, 11> kSeeds{{
    {1, R"({"name": "f", "arguments": {"a": [1, "b"]}})"},
    {2, R"(<|python_tag|>{"name": "f", "parameters": {}}; {"name": "f", "parameters": {}})"},
    {27, "<think>\nx</think>\n\na\n<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>"},
    {4, "<tool_call>\n<function=f>\n<parameter=a>\n1\n</parameter>\n</function>\n</tool_call>"},
    {5, R"([TOOL_CALLS][{"name": "f", "arguments": {}}])"},
    {6, "[TOOL_CALLS]f[CALL_ID]x[ARGS]{}"},
    {7, "<start_function_call>call:f{a:<escape>b<escape>,c:[1,{d:true}]}<end_function_call>"},
    {8, "<|tool_call>call:f{a:<|\"|>b<|\"|>}<tool_call|>"},
    {9, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
    {10, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{}\n```<｜tool▁call▁end｜>"},
    {23, "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>commentary to=functions.f<|message|>{}<|call|>"},
}};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: answer_parser_fuzz_seeds FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    bool written = true;
    for (std::size_t i = 0; i < kSeeds.size(); ++i) {
        std::ofstream file(folder / fmt::format("answer-{}", i), std::ios::binary);
        written &= static_cast<bool>(file << kSeeds[i].first << '\3' << kSeeds[i].second);
    }
    return written ? 0 : 1;
}
