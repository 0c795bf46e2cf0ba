// OpenSSL's settings. See tls.h.
#include "server/http/tls.h"

#include <openssl/ssl.h>

#include "base/os_file.h"

namespace rafter::server {
namespace {

namespace ssl = boost::asio::ssl;
using ErrorCode = boost::system::error_code;

Result<void> check(std::string_view file, const ErrorCode& code, std::string_view expected) {
    if (!code) return {};
    return bad_input("{}: expected {}: {}", file, expected, code.message());
}

}  // namespace

Result<std::unique_ptr<ssl::context>> load_tls(const std::string& cert_file, const std::string& key_file) {
    RAFTER_TRY(const std::string cert, read_file(cert_file));
    RAFTER_TRY(const std::string key, read_file(key_file));
    auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
    SSL_CTX* const settings = context->native_handle();
    SSL_CTX_set_min_proto_version(settings, TLS1_2_VERSION);
    SSL_CTX_set_options(settings, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(settings, SSL_MODE_RELEASE_BUFFERS);  // idle connections hold none
    ErrorCode error;
    // Without this OpenSSL would ask the terminal for a password.
    context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
    context->use_certificate_chain(boost::asio::buffer(cert), error);
    RAFTER_TRY_VOID(check(cert_file, error, "a certificate in PEM"));
    context->use_private_key(boost::asio::buffer(key), ssl::context::pem, error);
    RAFTER_TRY_VOID(check(key_file, error, fmt::format("the PEM key, without a password, of the certificate in {}", cert_file)));
    if (SSL_CTX_check_private_key(settings) != 1) return bad_input("{}: is not the key of the certificate in {}", key_file, cert_file);
    return context;
}

}  // namespace rafter::server
