mock_provider "google" {
  mock_resource "google_compute_global_address" {
    defaults = { address = "203.0.113.10" }
  }
}

variables {
  name    = "payflow-test"
  region  = "europe-west1"
  service = "payflow-test"
  domain  = "api.example.com"
  labels  = { environment = "test" }
}

run "https_only" {
  command = plan

  assert {
    condition     = google_compute_url_map.http.default_url_redirect[0].https_redirect && google_compute_url_map.http.default_service == null
    error_message = "plain HTTP must only be redirected"
  }
  assert {
    condition     = google_compute_ssl_policy.this.min_tls_version == "TLS_1_2" && google_compute_ssl_policy.this.profile == "MODERN"
    error_message = "TLS 1.2 or later, modern suites"
  }
  assert {
    condition     = google_compute_managed_ssl_certificate.this.managed[0].domains == tolist(["api.example.com"])
    error_message = "the certificate is for the domain"
  }
  assert {
    condition     = { for rule in google_compute_global_forwarding_rule.this : rule.name => rule.port_range } == { payflow-test-https = "443", payflow-test-http = "80" }
    error_message = "two doors: 443 and 80"
  }
}

run "what_is_public" {
  command = plan

  assert {
    condition     = alltrue([for path in ["/health", "/docs", "/docs/start.js", "/openapi.json", "/api/v1/payments", "/api/v1/payments/pay_1/refunds"] : can(regex(local.public_paths, path))])
    error_message = "the API, its pages and /health are public"
  }
  assert {
    condition     = alltrue([for path in ["/metrics", "/ready", "/", "//metrics", "/metrics/", "/healthz", "/api/v2/x", "/openapixjson", "/x/health"] : !can(regex(local.public_paths, path))])
    error_message = "/metrics, /ready and whatever else is not"
  }
  assert {
    condition     = one([for rule in google_compute_security_policy.this.rule : rule.match[0].expr[0].expression if rule.priority == 100 && rule.action == "deny(404)"]) == "!request.path.matches('^/(health|docs|openapi[.](json|yaml))$|^/(docs|api/v1)/')"
    error_message = "the first rule must hide what is not public"
  }
}

run "filters_and_limits" {
  command = plan

  assert {
    condition     = length([for rule in google_compute_security_policy.this.rule : rule if rule.action == "deny(403)" && rule.preview != true]) == 10
    error_message = "nine OWASP rule sets and one for known holes must be in force"
  }
  assert {
    condition     = one([for rule in google_compute_security_policy.this.rule : rule.rate_limit_options[0].rate_limit_threshold[0].count if rule.action == "rate_based_ban"]) == 6000
    error_message = "one address has its limit"
  }
  assert {
    condition     = google_compute_backend_service.this.enable_cdn == false && google_compute_backend_service.this.log_config[0].enable
    error_message = "answers are not cached, requests are logged"
  }
}

run "a_rule_set_may_only_log" {
  command = plan
  variables {
    waf_preview = ["sqli"]
  }

  assert {
    condition     = [for rule in google_compute_security_policy.this.rule : rule.description if rule.preview == true] == ["OWASP: sqli"]
    error_message = "one rule set only logs"
  }
}

run "own_zone" {
  variables {
    dns_zone = "example.com"
  }

  assert {
    condition     = google_dns_record_set.this[0].name == "api.example.com." && google_dns_record_set.this[0].rrdatas == tolist(["203.0.113.10"])
    error_message = "the name must lead to the load balancer"
  }
  assert {
    condition     = output.url == "https://api.example.com" && output.address == "203.0.113.10"
    error_message = "wrong outputs"
  }
}

run "an_address_instead_of_a_name_is_refused" {
  command = plan
  variables {
    domain = "203.0.113.7"
  }
  expect_failures = [var.domain]
}

run "a_foreign_zone_is_refused" {
  command = plan
  variables {
    dns_zone = "ample.com"
  }
  expect_failures = [var.dns_zone]
}

run "an_unknown_rule_set_is_refused" {
  command = plan
  variables {
    waf_preview = ["everything"]
  }
  expect_failures = [var.waf_preview]
}

run "no_limit_is_refused" {
  command = plan
  variables {
    requests_a_minute = 0
  }
  expect_failures = [var.requests_a_minute]
}
