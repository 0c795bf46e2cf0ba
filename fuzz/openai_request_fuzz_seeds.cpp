// Requests for the fuzzer to start from: for each endpoint those that use most of its keys.
//   openai_request_fuzz_seeds FOLDER
#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <utility>

namespace {

// The endpoint's byte (see openai_request_fuzz.cpp) and a body.
constexpr std::array<std::pair<char, std::string_view>, 21> kSeeds{{
    {'\0',
     R"({"model":"m","messages":[{"role":"system","content":"be brief"},{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_p":0.9,"seed":7,"n":2})"},
    {'\0',
     R"({"messages":[{"role":"user","content":"hi"}],"logprobs":true,"top_logprobs":2,"max_completion_tokens":5,"prompt_logprobs":1,"logit_bias":{"5":-1}})"},
    {'\0',
     R"({"messages":[{"role":"user","content":"hi"}],"chat_template_kwargs":{"x":[1,{"a":null}]},"reasoning_effort":"low","tools":[],"tool_choice":"auto"})"},
    {'\0', R"({"messages":[{"role":"assistant","content":"","tool_calls":[{"id":"1"}]}],"response_format":{"type":"json_schema"}})"},
    {'\0',
     R"({"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,"reasoning_content":"x","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},{"role":"tool","tool_call_id":"1","content":"2"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"integer"}}}}}],"tool_choice":"required","parallel_tool_calls":false})"},
    {'\2',
     R"({"input":[{"role":"user","content":"hi"},{"type":"reasoning","content":[{"text":"x"}]},{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"1","output":"2"}],"tools":[{"type":"function","name":"f"}],"tool_choice":{"type":"function","name":"f"}})"},
    {'\1', R"({"prompt":["hi",[1,2,3]],"echo":true,"logprobs":2,"max_tokens":0,"n":2})"},
    {'\1', R"({"prompt":[1,2,259],"max_tokens":4,"min_tokens":2,"ignore_eos":true,"stop":["a","b"],"priority":-3,"cache_salt":"s"})"},
    {'\1',
     R"({"prompt":"hi","top_k":40,"min_p":0.1,"typical_p":0.5,"repetition_penalty":1.1,"presence_penalty":1,"frequency_penalty":-1})"},
    {'\1', R"({"prompt":"hi","max_ttft_seconds":1.5,"timings":false,"user":"u","suffix":"","best_of":1,"prompt_logprobs":20})"},
    {'\2', R"({"input":"hi","instructions":"be brief","max_output_tokens":16,"metadata":{"a":"b"},"store":false,"truncation":"disabled"})"},
    {'\2',
     R"({"input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]}],"include":["message.output_text.logprobs"],"top_logprobs":2,"reasoning":{"effort":"low"},"text":{"format":{"type":"text"}}})"},
    {'\3', R"({"input":["hi",[1,2]],"encoding_format":"base64","dimensions":4,"pooling":"last"})"},
    {'\4', R"({"prompt":"hi","return_token_strs":true,"add_special_tokens":false})"},
    {'\4', R"({"content":"h\u00e9","with_pieces":true,"add_special":true,"parse_special":false})"},
    {'\4', R"({"messages":[{"role":"user","content":"hi"}],"add_generation_prompt":false})"},
    {'\5', R"({"tokens":[1,2,255]})"},
    {'\6', R"({"messages":[{"role":"user","content":"hi"}]})"},
    {'\7',
     R"({"model":"m","max_tokens":5,"system":[{"type":"text","text":"be brief","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"x","signature":""},{"type":"redacted_thinking","data":""},{"type":"tool_use","id":"1","name":"f","input":{"a":1}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","is_error":true,"content":[{"type":"text","text":"2"}]}]}],"tools":[{"name":"f","description":"d","input_schema":{"type":"object"}}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}})"},
    {'\7',
     R"({"max_tokens":5,"messages":[{"role":"user","content":"hi"}],"stop_sequences":["a"],"thinking":{"type":"enabled","budget_tokens":4},"output_config":{"effort":"low"},"stream":true,"top_k":3,"metadata":{"user_id":"u"},"service_tier":"auto"})"},
    {'\10', R"({"messages":[{"role":"user","content":"hi"}],"system":"s","tools":[],"tool_choice":{"type":"none"}})"},
}};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: openai_request_fuzz_seeds FOLDER\n");
        return 2;
    }
    const std::filesystem::path folder = argv[1];
    std::filesystem::create_directories(folder);
    bool written = true;
    for (std::size_t i = 0; i < kSeeds.size(); ++i) {
        std::ofstream file(folder / fmt::format("request-{}", i), std::ios::binary);
        written &= static_cast<bool>(file << kSeeds[i].first << kSeeds[i].second);
    }
    return written ? 0 : 1;
}
