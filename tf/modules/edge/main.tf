# The way in: a global load balancer with a managed certificate, filters and limits before the service. Plain HTTP is only
# redirected. What is public stands in `public_paths`; /metrics and /ready do not, and everything else gets 404.

locals {
  # RE2, on the path alone. PayFlow resolves no dots or double slashes, so a path is what it says.
  public_paths = "^/(health|docs|openapi[.](json|yaml))$|^/(docs|api/v1)/"

  # Google's copies of the OWASP Core Rule Set, at the level with the fewest false alarms.
  owasp = ["sqli", "xss", "lfi", "rfi", "rce", "methodenforcement", "scannerdetection", "protocolattack", "sessionfixation"]
}

resource "google_compute_region_network_endpoint_group" "this" {
  name                  = var.name
  region                = var.region
  network_endpoint_type = "SERVERLESS"

  cloud_run {
    service = var.service
  }
}

resource "google_compute_security_policy" "this" {
  name        = var.name
  description = "What may reach PayFlow, and how often"
  type        = "CLOUD_ARMOR"
  labels      = var.labels

  advanced_options_config {
    json_parsing = "STANDARD"
    log_level    = "NORMAL"
  }

  adaptive_protection_config {
    layer_7_ddos_defense_config {
      enable          = true
      rule_visibility = "STANDARD"
    }
  }

  rule {
    action      = "deny(404)"
    priority    = 100
    preview     = false
    description = "Only what is public"
    match {
      expr {
        expression = "!request.path.matches('${local.public_paths}')"
      }
    }
  }

  rule {
    action      = "deny(403)"
    priority    = 900
    preview     = contains(var.waf_preview, "cve-canary")
    description = "Attacks on well-known holes, such as Log4j's"
    match {
      expr {
        expression = "evaluatePreconfiguredWaf('cve-canary')"
      }
    }
  }

  dynamic "rule" {
    for_each = { for place, name in local.owasp : name => 1000 + place }
    content {
      action      = "deny(403)"
      priority    = rule.value
      preview     = contains(var.waf_preview, rule.key)
      description = "OWASP: ${rule.key}"
      match {
        expr {
          expression = "evaluatePreconfiguredWaf('${rule.key}-v33-stable', {'sensitivity': 1})"
        }
      }
    }
  }

  rule {
    action      = "rate_based_ban"
    priority    = 2000
    preview     = false
    description = "One address: more than ${var.requests_a_minute} requests a minute get 429, ten times as many a ban"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
    rate_limit_options {
      conform_action   = "allow"
      exceed_action    = "deny(429)"
      enforce_on_key   = "IP"
      ban_duration_sec = 300
      rate_limit_threshold {
        count        = var.requests_a_minute
        interval_sec = 60
      }
      ban_threshold {
        count        = var.requests_a_minute * 10
        interval_sec = 60
      }
    }
  }

  rule {
    action      = "allow"
    priority    = 2147483647
    preview     = false
    description = "What no rule above decided"
    match {
      versioned_expr = "SRC_IPS_V1"
      config {
        src_ip_ranges = ["*"]
      }
    }
  }
}

resource "google_compute_backend_service" "this" {
  name                  = var.name
  description           = "PayFlow on Cloud Run"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  protocol              = "HTTPS"
  security_policy       = google_compute_security_policy.this.id
  # Answers belong to one account.
  enable_cdn = false

  backend {
    group = google_compute_region_network_endpoint_group.this.id
  }

  log_config {
    enable      = true
    sample_rate = var.log_sample_rate
  }
}

resource "google_compute_url_map" "https" {
  name            = var.name
  description     = "Everything goes to PayFlow"
  default_service = google_compute_backend_service.this.id
}

resource "google_compute_url_map" "http" {
  name        = "${var.name}-http"
  description = "Plain HTTP is told to come by HTTPS"

  default_url_redirect {
    https_redirect         = true
    redirect_response_code = "PERMANENT_REDIRECT"
    strip_query            = false
  }
}

resource "google_compute_managed_ssl_certificate" "this" {
  # A certificate can't change: another domain gets another one, before the first goes.
  name = "${var.name}-${substr(sha256(var.domain), 0, 8)}"

  managed {
    domains = [var.domain]
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "google_compute_ssl_policy" "this" {
  name            = var.name
  profile         = "MODERN"
  min_tls_version = "TLS_1_2"
}

resource "google_compute_target_https_proxy" "this" {
  name             = var.name
  url_map          = google_compute_url_map.https.id
  ssl_certificates = [google_compute_managed_ssl_certificate.this.id]
  ssl_policy       = google_compute_ssl_policy.this.id
}

resource "google_compute_target_http_proxy" "this" {
  name    = var.name
  url_map = google_compute_url_map.http.id
}

resource "google_compute_global_address" "this" {
  name        = var.name
  description = "PayFlow's address: the A record of ${var.domain}"
  labels      = var.labels
}

resource "google_compute_global_forwarding_rule" "this" {
  for_each = {
    https = { port = "443", target = google_compute_target_https_proxy.this.id }
    http  = { port = "80", target = google_compute_target_http_proxy.this.id }
  }

  name                  = "${var.name}-${each.key}"
  load_balancing_scheme = "EXTERNAL_MANAGED"
  ip_address            = google_compute_global_address.this.id
  port_range            = each.value.port
  target                = each.value.target
  labels                = var.labels
}

# --- DNS, where the zone is ours --------------------------------------------------------------------------------------

resource "google_dns_managed_zone" "this" {
  count = var.dns_zone == null ? 0 : 1

  name        = "${var.name}-public"
  dns_name    = "${var.dns_zone}."
  description = "PayFlow's public zone"
  labels      = var.labels

  dnssec_config {
    state = "on"
  }
  cloud_logging_config {
    enable_logging = true
  }
}

resource "google_dns_record_set" "this" {
  count = var.dns_zone == null ? 0 : 1

  managed_zone = google_dns_managed_zone.this[0].name
  name         = "${var.domain}."
  type         = "A"
  ttl          = 300
  rrdatas      = [google_compute_global_address.this.address]
}

# Only Google's authority may make certificates for the domain.
resource "google_dns_record_set" "authority" {
  count = var.dns_zone == null ? 0 : 1

  managed_zone = google_dns_managed_zone.this[0].name
  name         = "${var.domain}."
  type         = "CAA"
  ttl          = 300
  rrdatas      = ["0 issue \"pki.goog\""]
}
