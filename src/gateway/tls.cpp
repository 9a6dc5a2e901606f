#include "gateway/tls.hpp"

#include <openssl/ssl.h>

#include <boost/system/error_code.hpp>
#include <string_view>

#include "outlay/error.hpp"

namespace outlay::gateway::detail {

namespace ssl = boost::asio::ssl;

namespace {

/// Protocol names in the form of the extension (RFC 7301, 3.1): each behind its length.
constexpr unsigned char http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

int choose_http11(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                  unsigned offered_size, void*) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, http11, sizeof http11, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

std::shared_ptr<ssl::context> tls_for_clients(const std::string& certificate, const std::string& key) {
  if (certificate.empty() && key.empty()) return nullptr;
  if (certificate.empty() || key.empty())
    throw ConfigError("gateway: tls_certificate and tls_key belong together. Name both files, or none.");
  const auto bad = [](const char* name, const std::string& file, const std::string& what) {
    throw ConfigError(std::string("gateway: ") + name + " \"" + file + "\" " + what);
  };
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // OpenSSL would ask the terminal.
  SSL_CTX_set_default_passwd_cb(native, [](char*, int, int, void*) { return 0; });
  SSL_CTX_set_alpn_select_cb(native, choose_http11, nullptr);
  boost::system::error_code error;
  context->use_certificate_chain_file(certificate, error);
  if (error) bad("tls_certificate", certificate, "cannot be read as PEM certificates: " + error.message() + ".");
  context->use_private_key_file(key, ssl::context::pem, error);
  if (error)
    bad("tls_key", key,
        "cannot be read as the PEM key of this certificate, without a passphrase: " + error.message() + ".");
  if (SSL_CTX_check_private_key(native) != 1) bad("tls_key", key, "is not the key of the certificate.");
  return context;
}

}  // namespace outlay::gateway::detail
