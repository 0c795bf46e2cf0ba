// The server's certificate and what of TLS is allowed. Included by the sources of this folder alone: it brings in Asio.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/result.h"

namespace rafter::server {

// TLS 1.2 and 1.3. The files are PEM: a certificate with those that signed it, and its key without a password. Errors name the file.
[[nodiscard]] Result<std::unique_ptr<boost::asio::ssl::context>> load_tls(const std::string& cert_file, const std::string& key_file);

}  // namespace rafter::server
