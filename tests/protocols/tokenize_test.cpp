// /tokenize, /detokenize and /apply-template in both forms, and what the server says of its model.
#include "protocols/tokenize.h"

#include <gtest/gtest.h>

#include "protocols/model_info.h"
#include "tests/protocols/letters.h"
#include "tests/protocols/tiny_opened_model.h"

namespace rafter::protocols {
namespace {

using nlohmann::json;

class Tokenizing : public testing::Test {
  protected:
    json answer(const json& body) {
        const auto answer = tokenize(body, opened_, defaults_);
        EXPECT_TRUE(answer) << answer.error().message;
        return answer ? json(answer->body) : json();
    }
    static void expect_refused(const Result<TokenizeAnswer>& answer, const std::string& words) {
        ASSERT_FALSE(answer) << words;
        EXPECT_EQ(answer.error().message.find(words), 0U) << answer.error().message << "\nexpected: " << words;
    }
    [[nodiscard]] std::vector<engine::TokenId> encode(std::string_view text) const {
        return opened_.tokenizer->encode(text, text::SpecialTokens::kParse);
    }

    engine::OpenedModel opened_ = tests::tiny_opened_model();
    OpenAiDefaults defaults_{.context = 4};
    const json messages_ = {{{"role", "user"}, {"content", "hello"}}};
    const std::string rendered_ = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n";
};

TEST_F(Tokenizing, CountsPromptsAsVllmDoes) {
    const auto tokens = encode("hello you");
    const json plain = answer({{"prompt", "hello you"}, {"add_special_tokens", false}});
    EXPECT_EQ(plain, (json{{"count", tokens.size()}, {"max_model_len", 4}, {"tokens", tokens}, {"token_strs", nullptr}}));
    const json texts = answer({{"prompt", "hello you"}, {"return_token_strs", true}, {"add_special_tokens", false}})["token_strs"];
    std::string joined;
    for (const json& text : texts) joined += text.get<std::string>();
    EXPECT_EQ(joined, opened_.tokenizer->decode(tokens, text::SpecialTokens::kParse));
    EXPECT_EQ(texts.size(), tokens.size());
    // Longer than the context, and counted all the same.
    EXPECT_EQ(answer({{"messages", messages_}})["tokens"], encode(rendered_));
    EXPECT_EQ(answer({{"messages", messages_}, {"add_generation_prompt", false}})["tokens"], encode("<|im_start|>user\nhello<|im_end|>\n"));
}

TEST_F(Tokenizing, GivesIdsOrPiecesAsLlamaServerDoes) {
    EXPECT_EQ(answer({{"content", "hello"}}), (json{{"tokens", encode("hello")}}));
    const json pieces = answer({{"content", "h\u00e9"}, {"with_pieces", true}})["tokens"];
    std::string bytes;
    for (const json& one : pieces) {
        if (one["piece"].is_string()) bytes += one["piece"].get<std::string>();
        if (!one["piece"].is_array()) continue;
        for (const json& byte : one["piece"]) bytes += static_cast<char>(byte.get<int>());
    }
    EXPECT_EQ(bytes, "h\u00e9");
    EXPECT_EQ(answer({{"content", "<|im_end|>"}})["tokens"].size(), 1U);
    EXPECT_GT(answer({{"content", "<|im_end|>"}, {"parse_special", false}})["tokens"].size(), 1U);
    EXPECT_EQ(answer({{"content", ""}}), (json{{"tokens", json::array()}}));
}

TEST_F(Tokenizing, NeedsOneTextAndNoMore) {
    expect_refused(tokenize(json::object(), opened_, defaults_), "body: expected one of the keys prompt, messages and content, found 0");
    expect_refused(tokenize({{"prompt", "a"}, {"content", "b"}}, opened_, defaults_), "body: expected one of the keys");
    expect_refused(tokenize({{"prompt", 5}}, opened_, defaults_), "body: prompt: expected a text, found 5");
    expect_refused(tokenize({{"messages", 5}}, opened_, defaults_), "body: messages: expected a list");
    expect_refused(tokenize({{"content", "a"}, {"with_pieces", 1}}, opened_, defaults_), "body: with_pieces: expected true or false");
    expect_refused(tokenize(json::array(), opened_, defaults_), "body: expected an object");
    defaults_.max_prompt_bytes = 2;
    expect_refused(tokenize({{"prompt", "abc"}}, opened_, defaults_), "body: prompt: the prompt is too long");
    expect_refused(tokenize({{"content", "abc"}}, opened_, defaults_), "body: content: the prompt is too long");
}

TEST_F(Tokenizing, GoesBackToTheText) {
    const auto back = detokenize({{"tokens", encode("hello <|im_end|>")}}, opened_, defaults_);
    ASSERT_TRUE(back);
    EXPECT_EQ(back->body["prompt"], "hello <|im_end|>");
    EXPECT_EQ(back->body["content"], "hello <|im_end|>");
    EXPECT_EQ(detokenize({{"tokens", json::array()}}, opened_, defaults_)->body["prompt"], "");
    expect_refused(detokenize(json::object(), opened_, defaults_), "body: tokens: expected a list of token ids, found no such key");
    const std::size_t n = opened_.tokenizer->n_tokens();
    for (const json& bad : {json(-1), json(n), json(0.5), json("1"), json(true), json(1e300)}) {
        expect_refused(detokenize({{"tokens", {0, bad}}}, opened_, defaults_),
                       fmt::format("body: tokens: expected token ids from 0 to {}", n - 1));
    }
}

TEST_F(Tokenizing, TemplatesAreApplied) {
    const auto applied = apply_template({{"messages", messages_}, {"model", "m"}}, opened_, defaults_);
    ASSERT_TRUE(applied);
    EXPECT_EQ(applied->body, (nlohmann::ordered_json{{"prompt", rendered_}}));
    EXPECT_EQ(applied->model, "m");
    expect_refused(apply_template({{"prompt", "x"}}, opened_, defaults_), "body: messages: expected a list");
    expect_refused(apply_template({{"messages", messages_}, {"chat_template_kwargs", {{"messages", 1}}}}, opened_, defaults_),
                   "body: chat_template_kwargs: ");
}

TEST(ModelInfos, TellNoFolders) {
    const ModelInfo model{.name = "tiny",
                          .path = "/srv/models/tiny.gguf",
                          .created_unix_s = 5,
                          .context = 512,
                          .n_together = 8,
                          .chat_template = "{{ x }}",
                          .version = "1.2.3",
                          .n_vocab = 300};
    const json props = props_answer(model, tests::Letters());
    EXPECT_EQ(props["model_path"], "tiny.gguf");
    EXPECT_EQ(props.dump().find("/srv"), std::string::npos);
    EXPECT_EQ(props["total_slots"], 8);
    EXPECT_EQ(props["default_generation_settings"]["n_ctx"], 512);
    EXPECT_EQ(props["chat_template"], "{{ x }}");
    EXPECT_EQ(props["build_info"], "rafter 1.2.3");
    const json models = models_answer({&model, 1});
    EXPECT_EQ(models["object"], "list");
    EXPECT_EQ(models["data"][0]["id"], "tiny");
    EXPECT_EQ(models["data"][0]["max_model_len"], 512);
    EXPECT_EQ(models["data"][0]["meta"]["n_vocab"], 300);
    EXPECT_EQ(version_answer("1.2.3"), (nlohmann::ordered_json{{"version", "1.2.3"}}));
}

}  // namespace
}  // namespace rafter::protocols
