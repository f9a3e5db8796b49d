# What no plan of PayFlow may do. Each message begins with its rule's name in brackets.
#
#   conftest test --policy tf/policies PLAN.json         (terraform show -json PLAN)
#
# A rule that finds nothing to look at says nothing, so `complete` asks for the parts that must be there.
package main

import rego.v1

environment := object.get(input, ["variables", "environment", "value"], "shared")

production if environment == "production"

# --- reading a plan ---------------------------------------------------------------------------------------------------

changes contains change if {
	some change in input.resource_changes
	change.mode == "managed"
	not "delete" in change.change.actions
}

of_type(type) := [change | some change in changes; change.type == type]

# What a plan leaves open until the apply counts as there.
known_or_later(change, name) if object.get(change.change.after, name, null) != null

known_or_later(change, name) if object.get(object.get(change.change, "after_unknown", {}), name, false) == true

settings(change) := change.change.after.settings[0]

flags(change) := {flag.name: flag.value | some flag in settings(change).database_flags}

service_containers contains {"address": change.address, "container": container} if {
	some change in of_type("google_cloud_run_v2_service")
	some container in change.change.after.template[0].containers
}

containers contains item if some item in service_containers

containers contains {"address": change.address, "container": container} if {
	some change in of_type("google_cloud_run_v2_job")
	some container in change.change.after.template[0].template[0].containers
}

env(container) := {entry.name: entry.value | some entry in container.env; entry.value != null}

# --- the plan as a whole ----------------------------------------------------------------------------------------------

required := {
	"google_cloud_run_v2_service", "google_cloud_run_v2_job", "google_sql_database_instance", "google_memorystore_instance",
	"google_compute_network", "google_compute_firewall",
}

deny contains sprintf("[complete] no %s in the plan: nothing to judge", [type]) if {
	environment != "shared"
	some type in required
	count(of_type(type)) == 0
}

labelled := {
	"google_cloud_run_v2_service", "google_cloud_run_v2_job", "google_memorystore_instance", "google_secret_manager_secret",
	"google_storage_bucket", "google_artifact_registry_repository", "google_kms_crypto_key", "google_dns_managed_zone",
	"google_compute_address", "google_compute_global_address", "google_compute_global_forwarding_rule",
	"google_compute_security_policy", "google_network_connectivity_service_connection_policy",
}

labels(change) := change.change.after.labels if change.type in labelled

labels(change) := settings(change).user_labels if change.type == "google_sql_database_instance"

deny contains sprintf("[labels] %s: no label %s", [change.address, label]) if {
	some change in changes
	some label in ["app", "environment", "cost-center"]
	found := labels(change)
	not known_label(found, label)
}

known_label(found, label) if {
	is_string(found[label])
	found[label] != ""
}

# --- the database -----------------------------------------------------------------------------------------------------

deny contains sprintf("[database-private] %s: a public address, or a network that may come in", [change.address]) if {
	some change in of_type("google_sql_database_instance")
	not private(settings(change).ip_configuration[0])
}

private(ip) if {
	ip.ipv4_enabled == false
	count(object.get(ip, "authorized_networks", [])) == 0
}

deny contains sprintf("[database-tls] %s: TLS is not required, or its certificate can't be verified by name", [change.address]) if {
	some change in of_type("google_sql_database_instance")
	not verifiable(settings(change).ip_configuration[0])
}

verifiable(ip) if {
	ip.ssl_mode in ["ENCRYPTED_ONLY", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED"]
	ip.server_ca_mode in ["GOOGLE_MANAGED_CAS_CA", "CUSTOMER_MANAGED_CAS_CA"]
}

deny contains sprintf("[database-iam] %s: log-in by IAM is off", [change.address]) if {
	some change in of_type("google_sql_database_instance")
	object.get(flags(change), "cloudsql.iam_authentication", "off") != "on"
}

deny contains sprintf("[database-iam] %s: a user with a password", [change.address]) if {
	some change in of_type("google_sql_user")
	object.get(change.change.after, "type", "BUILT_IN") in ["BUILT_IN", "", null]
}

deny contains sprintf("[database-backups] %s: no backups, no recovery to a point in time, or too few kept", [change.address]) if {
	some change in of_type("google_sql_database_instance")
	not backed_up(settings(change).backup_configuration[0])
}

backups_least := {"production": 30, "staging": 7, "development": 2}

backed_up(backup) if {
	backup.enabled == true
	backup.point_in_time_recovery_enabled == true
	backup.backup_retention_settings[0].retained_backups >= backups_least[environment]
}

deny contains sprintf("[database-ha] %s: production needs a standby in another zone", [change.address]) if {
	production
	some change in of_type("google_sql_database_instance")
	object.get(settings(change), "availability_type", "ZONAL") != "REGIONAL"
}

deny contains sprintf("[connections] %s: %d connections at worst, %d allowed", [service.address, most, allowed]) if {
	some service in of_type("google_cloud_run_v2_service")
	some item in service_containers
	values := env(item.container)
	pool := (to_number(values.DB_WRITERS) + to_number(values.DB_READERS)) + 1
	most := ((pool * service.change.after.template[0].scaling[0].max_instance_count) * 2) + 3
	some instance in of_type("google_sql_database_instance")
	allowed := to_number(flags(instance).max_connections) - 10
	most > allowed
}

# --- the cache --------------------------------------------------------------------------------------------------------

deny contains sprintf("[cache-tls] %s: connections without TLS or without log-in", [change.address]) if {
	some change in of_type("google_memorystore_instance")
	not guarded(change.change.after)
}

guarded(cache) if {
	cache.transit_encryption_mode == "SERVER_AUTHENTICATION"
	cache.authorization_mode == "IAM_AUTH"
}

deny contains sprintf("[cache-replica] %s: production needs a replica", [change.address]) if {
	production
	some change in of_type("google_memorystore_instance")
	object.get(change.change.after, "replica_count", 0) < 1
}

# --- the service ------------------------------------------------------------------------------------------------------

deny contains sprintf("[ingress] %s: outside development the internet comes by the load balancer only", [change.address]) if {
	environment != "development"
	some change in of_type("google_cloud_run_v2_service")
	object.get(change.change.after, "ingress", "INGRESS_TRAFFIC_ALL") == "INGRESS_TRAFFIC_ALL"
}

deny contains sprintf("[no-latest] %s: the image %s has neither digest nor fixed tag", [item.address, item.container.image]) if {
	some item in containers
	not fixed(item.container.image)
}

fixed(image) if regex.match(`@sha256:[0-9a-f]{64}$`, image)

fixed(image) if {
	regex.match(`:[A-Za-z0-9_][A-Za-z0-9._-]*$`, image)
	not endswith(image, ":latest")
}

deny contains sprintf("[instances] %s: production keeps at least two instances, and has room for more", [change.address]) if {
	production
	some change in of_type("google_cloud_run_v2_service")
	not enough(change.change.after.template[0].scaling[0])
}

enough(scaling) if {
	scaling.min_instance_count >= 2
	scaling.max_instance_count > scaling.min_instance_count
	scaling.max_instance_count <= 100
}

deny contains sprintf("[limits] %s: %s needs CPU (up to 4) and memory limits", [item.address, item.container.name]) if {
	some item in containers
	not bounded(item.container)
}

bounded(container) if {
	limits := container.resources[0].limits
	limits.memory != ""
	limits.cpu in ["500m", "1", "2", "4"]
}

deny contains sprintf("[cpu-always] %s: %s works between requests too", [item.address, item.container.name]) if {
	some item in service_containers
	object.get(item.container.resources[0], "cpu_idle", true) != false
}

deny contains sprintf("[probes] %s: startup and liveness must ask /health, which touches no dependency", [item.address]) if {
	some item in service_containers
	count(object.get(item.container, "ports", [])) > 0
	not probed(item.container)
}

probed(container) if {
	container.startup_probe[0].http_get[0].path == "/health"
	container.liveness_probe[0].http_get[0].path == "/health"
}

deny contains sprintf("[auth] %s: outside development PayFlow asks for keys and verifies both servers", [item.address]) if {
	environment != "development"
	some item in service_containers
	count(object.get(item.container, "ports", [])) > 0
	not careful(env(item.container))
}

careful(values) if {
	values.PAYFLOW_AUTH == "on"
	values.DB_SSLMODE == "verify-full"
	values.DB_IAM == "on"
	values.REDIS_IAM == "on"
}

# --- who may do what --------------------------------------------------------------------------------------------------

deny contains sprintf("[no-keys] %s: accounts have no keys", [change.address]) if {
	some change in changes
	change.type in ["google_service_account_key", "google_storage_hmac_key"]
}

everybody := {"allUsers", "allAuthenticatedUsers"}

deny contains sprintf("[public-access] %s: everybody may use it", [change.address]) if {
	some change in changes
	not invoker_in_development(change)
	object.get(change.change.after, "member", "") in everybody
}

deny contains sprintf("[public-access] %s: everybody may use it", [change.address]) if {
	some change in changes
	not invoker_in_development(change)
	some member in object.get(change.change.after, "members", [])
	member in everybody
}

invoker_in_development(change) if {
	environment == "development"
	startswith(change.type, "google_cloud_run_v2_service_iam_")
}

deny contains sprintf("[basic-roles] %s: %s is far too much", [change.address, change.change.after.role]) if {
	some change in changes
	object.get(change.change.after, "role", "") in ["roles/owner", "roles/editor"]
}

deny contains sprintf("[own-account] %s: runs as the project's default account", [change.address]) if {
	some change in of_type("google_cloud_run_v2_service")
	not own_account(change.change.after.template[0])
}

deny contains sprintf("[own-account] %s: runs as the project's default account", [change.address]) if {
	some change in of_type("google_cloud_run_v2_job")
	not own_account(change.change.after.template[0].template[0])
}

own_account(template) if endswith(template.service_account, ".iam.gserviceaccount.com")

deny contains sprintf("[no-secret-in-state] %s: a value that the state would keep", [change.address]) if {
	some change in changes
	some name in ["secret_data", "password", "root_password", "oauth2_client_secret", "auth_string"]
	object.get(change.change.after, name, null) != null
}

# --- the network and the edge -----------------------------------------------------------------------------------------

deny contains sprintf("[firewall] %s: opens what it does not name", [change.address]) if {
	some change in of_type("google_compute_firewall")
	count(object.get(change.change.after, "allow", [])) > 0
	some field in ["source_ranges", "destination_ranges"]
	some cidr in object.get(change.change.after, field, [])
	cidr in ["0.0.0.0/0", "::/0"]
}

deny contains sprintf("[firewall] nothing denies what no rule names, direction %s", [direction]) if {
	count(of_type("google_compute_firewall")) > 0
	some direction in ["INGRESS", "EGRESS"]
	count([change |
		some change in of_type("google_compute_firewall")
		change.change.after.direction == direction
		change.change.after.deny[0].protocol == "all"
	]) == 0
}

deny contains sprintf("[flow-logs] %s: no flow logs, or no private way to Google's APIs", [change.address]) if {
	some change in of_type("google_compute_subnetwork")
	not watched(change.change.after)
}

watched(subnet) if {
	subnet.private_ip_google_access == true
	count(subnet.log_config) > 0
}

deny contains sprintf("[egress] %s: leaves the network past the firewall", [change.address]) if {
	some change in of_type("google_cloud_run_v2_service")
	object.get(change.change.after.template[0].vpc_access[0], "egress", "") != "ALL_TRAFFIC"
}

deny contains sprintf("[edge-tls] %s: TLS 1.2 at least", [change.address]) if {
	some change in of_type("google_compute_ssl_policy")
	not object.get(change.change.after, "min_tls_version", "TLS_1_0") in ["TLS_1_2", "TLS_1_3"]
}

deny contains sprintf("[edge-tls] %s: no TLS policy", [change.address]) if {
	some change in of_type("google_compute_target_https_proxy")
	not known_or_later(change, "ssl_policy")
}

deny contains sprintf("[edge-armor] %s: no Cloud Armor before it", [change.address]) if {
	some change in of_type("google_compute_backend_service")
	not known_or_later(change, "security_policy")
}

deny contains sprintf("[edge-redirect] %s: serves plain HTTP", [change.address]) if {
	some change in of_type("google_compute_url_map")
	endswith(change.change.after.name, "-http")
	object.get(change.change.after.default_url_redirect[0], "https_redirect", false) != true
}

# --- what must not go by accident -------------------------------------------------------------------------------------

deny contains sprintf("[deletion-protection] %s: production must be protected", [change.address]) if {
	production
	some change in changes
	change.type in ["google_sql_database_instance", "google_cloud_run_v2_service", "google_cloud_run_v2_job", "google_secret_manager_secret"]
	object.get(change.change.after, "deletion_protection", false) != true
}

deny contains sprintf("[deletion-protection] %s: production must be protected", [change.address]) if {
	production
	some change in of_type("google_memorystore_instance")
	object.get(change.change.after, "deletion_protection_enabled", false) != true
}

deny contains sprintf("[bucket] %s: public, without versions, or with access by object", [change.address]) if {
	some change in of_type("google_storage_bucket")
	not kept(change.change.after)
}

kept(bucket) if {
	bucket.public_access_prevention == "enforced"
	bucket.uniform_bucket_level_access == true
	bucket.versioning[0].enabled == true
	object.get(bucket, "force_destroy", false) == false
}

deny contains sprintf("[immutable-tags] %s: a tag could be moved to another image", [change.address]) if {
	some change in of_type("google_artifact_registry_repository")
	object.get(change.change.after.docker_config[0], "immutable_tags", false) != true
}
