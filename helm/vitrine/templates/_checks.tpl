{{/* What a schema cannot compare. Each check fails with the values that do not go together, and the way out. */}}

{{- define "vitrine.checkMilvus" -}}
{{- if and .Values.milvus.enabled .Values.milvus.uri -}}
{{- fail "milvus.uri and milvus.enabled exclude each other: your Milvus, or a small one inside this release" -}}
{{- end -}}
{{- end -}}

{{/* The API server would refuse the StatefulSet, after the rest of the upgrade was applied. */}}
{{- define "vitrine.checkVolume" -}}
{{- $wanted := .Values.milvus.persistence -}}
{{- if .Values.milvus.enabled -}}
{{- range dig "spec" "volumeClaimTemplates" list (lookup "apps/v1" "StatefulSet" .Release.Namespace (include "vitrine.name" (list . "milvus" .Values.milvus))) -}}
{{- $has := dig "spec" "resources" "requests" "storage" "" . -}}
{{- if ne (include "vitrine.bytes" $has) (include "vitrine.bytes" $wanted.size) -}}
{{- fail (printf "milvus.persistence.size is %v, and the volume was made with %v, which an upgrade cannot change: enlarge the claim and delete the StatefulSet with --cascade=orphan first (README, Upgrades)" $wanted.size $has) -}}
{{- end -}}
{{- $class := dig "spec" "storageClassName" "" . -}}
{{- if ne $class $wanted.storageClassName -}}
{{- fail (printf "milvus.persistence.storageClassName is %q, and the volume was made with %q, which an upgrade cannot change (README, Upgrades)" $wanted.storageClassName $class) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkEngines" -}}
{{- range $component := list "rewriter" "speech" -}}
{{- $values := index $.Values $component -}}
{{- if and $values.enabled (ne $values.engine "openai") (or $values.openai.url $values.openai.model $values.openai.apiKeySecret.name $values.openai.caSecret) -}}
{{- fail (printf "%s.openai is for engine=openai, and %s.engine is %s: set the engine, or leave openai empty" $component $component $values.engine) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkIndex" -}}
{{- if and .Values.index.rebuild .Values.index.rebuildIfStale -}}
{{- fail "index.rebuild and index.rebuildIfStale exclude each other: the second rebuilds only where encoders or schema ask for it" -}}
{{- end -}}
{{- if and .Values.index.schedule (not .Values.index.enabled) -}}
{{- fail "index.schedule needs index.enabled" -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkService" -}}
{{- $service := .Values.gateway.service -}}
{{- if and (eq $service.type "ClusterIP") (or $service.externalTrafficPolicy $service.nodePort) -}}
{{- fail "gateway.service.externalTrafficPolicy and nodePort are for type NodePort and LoadBalancer" -}}
{{- end -}}
{{- if and (ne $service.type "LoadBalancer") (or $service.loadBalancerClass $service.loadBalancerSourceRanges) -}}
{{- fail "gateway.service.loadBalancerClass and loadBalancerSourceRanges are for type LoadBalancer" -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkModels" -}}
{{- range $where, $models := dict "triton" .Values.triton.modelRepository "triton.next" .Values.triton.next.modelRepository -}}
{{- if and $models.url $models.existingClaim -}}
{{- fail (printf "%s.modelRepository: url and existingClaim exclude each other" $where) -}}
{{- end -}}
{{- if and $models.path (not $models.existingClaim) -}}
{{- fail (printf "%s.modelRepository.path is a folder on existingClaim" $where) -}}
{{- end -}}
{{- if and $models.url (not $models.sha256) -}}
{{- fail (printf "%s.modelRepository.sha256 is needed: that of manifest.json, as `sha256sum manifest.json` prints it; what the store has later is another release" $where) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkPlans" -}}
{{- if and .Values.plans.enabled (not (and .Values.plans.existingClaim .Values.plans.path)) -}}
{{- fail "plans.existingClaim and plans.path are needed: where the Job writes the repository of plans" -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkDoors" -}}
{{- with .Values.gateway.ingress -}}
{{- if and .enabled (not (and .host .tlsSecret)) -}}
{{- fail "gateway.ingress.host and tlsSecret are needed: gRPC goes through an ingress by name and TLS" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.gateway.route.enabled (not .Values.gateway.route.parents) -}}
{{- fail "gateway.route.parents is needed: the Gateway that takes the route, such as [{name: public}]" -}}
{{- end -}}
{{- if and .Values.access.tls.issuer.name (not .Values.access.tls.secret) -}}
{{- fail "access.tls.secret is needed: the Secret that cert-manager is to fill" -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.checkStorefront" -}}
{{- $page := .Values.storefront -}}
{{- if $page.enabled -}}
{{- if not $page.hosts -}}
{{- fail "storefront.hosts is needed: the names by which browsers ask for the page; it refuses all others" -}}
{{- end -}}
{{- if and .Values.access.callers.name (not $page.tokenSecret.name) (not $page.clientSecret) (not .Values.gateway.settings.mesh_header) -}}
{{- fail "storefront.tokenSecret.name is needed: the Secret with the page's token, of a caller with the scope search" -}}
{{- end -}}
{{- if and (or $page.tokenSecret.name $page.clientSecret) (not .Values.access.tls.secret) -}}
{{- fail "storefront.tokenSecret and clientSecret need access.tls.secret: the page sends no token in clear; where a mesh encrypts, gateway.settings.mesh_header says who it is" -}}
{{- end -}}
{{- if and (gt (int $page.replicas) 1) (not .Values.gateway.sessions.urlSecret.name) -}}
{{- fail "storefront.replicas above 1 needs gateway.sessions.urlSecret: a conversation would go on at a gateway that does not know it" -}}
{{- end -}}
{{- if and $page.ingress.enabled (not $page.ingress.tlsSecret) -}}
{{- fail "storefront.ingress.tlsSecret is needed: browsers allow a microphone over TLS alone" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Names of Services begin with a letter. */}}
{{- define "vitrine.checkName" -}}
{{- if not (regexMatch "^[a-z]" (include "vitrine.fullname" .)) -}}
{{- fail "fullnameOverride is needed: names of Services begin with a letter, and the release's does not" -}}
{{- end -}}
{{- end -}}

{{/* Labels by which pods are found, and sums by which they are rolled, are the chart's own. */}}
{{- define "vitrine.checkLabels" -}}
{{- $texts := dict "commonLabels" .Values.commonLabels "podMonitor.labels" (.Values.podMonitor.labels | default dict) "gateway.service.labels" .Values.gateway.service.labels -}}
{{- range $component := list "gateway" "rewriter" "speech" "storefront" "triton" "plans" "index" "milvus" -}}
{{- $values := index $.Values $component -}}
{{- $_ := set $texts (print $component ".podLabels") $values.podLabels -}}
{{- $_ := set $texts (print $component ".podAnnotations") $values.podAnnotations -}}
{{- end -}}
{{- range $where, $names := $texts -}}
{{- range $name := keys $names -}}
{{- if regexMatch "^(app[.]kubernetes[.]io/(name|instance|component|managed-by|version)$|helm[.]sh/chart$|vitrine/|checksum/)" $name -}}
{{- fail (printf "%s: %s is the chart's own: choose another name" $where $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Of every component that runs: requests within limits, what cannot be shared the same in both, a strategy that moves. */}}
{{- define "vitrine.checkPods" -}}
{{- range $component := list "gateway" "rewriter" "speech" "storefront" "triton" "plans" "index" "milvus" -}}
{{- $values := index $.Values $component -}}
{{- $limits := $values.resources.limits -}}
{{- range $name, $requested := $values.resources.requests -}}
{{- $where := printf "%s.resources: requests.%s %s" $component $name (toString $requested) -}}
{{- $limit := index $limits $name -}}
{{- if and (contains "/" $name) (ne (toString $requested) (toString $limit)) -}}
{{- fail (printf "%s must be limits.%s too: it cannot be shared" $where $name) -}}
{{- end -}}
{{- if and $limit (eq $name "cpu") (gt (include "vitrine.milli" $requested | int64) (include "vitrine.milli" $limit | int64)) -}}
{{- fail (printf "%s is above limits.cpu %s" $where (toString $limit)) -}}
{{- end -}}
{{- if and $limit (has $name (list "memory" "ephemeral-storage")) (gt (include "vitrine.bytes" $requested | int64) (include "vitrine.bytes" $limit | int64)) -}}
{{- fail (printf "%s is above limits.%s %s" $where $name (toString $limit)) -}}
{{- end -}}
{{- end -}}
{{- range $name, $limit := $limits -}}
{{- if and (contains "/" $name) (not (hasKey $values.resources.requests $name)) (eq (toString $limit) "0") -}}
{{- fail (printf "%s.resources.limits.%s 0 asks for none: leave it out" $component $name) -}}
{{- end -}}
{{- end -}}
{{- with $values.strategy -}}
{{- if and (has (toString .maxSurge) (list "0" "0%")) (has (toString .maxUnavailable) (list "0" "0%")) -}}
{{- fail (printf "%s.strategy: with maxSurge 0 and maxUnavailable 0 no pod could be exchanged: one of them is 1 or more" $component) -}}
{{- end -}}
{{- end -}}
{{- include "vitrine.checkEnvironment" (list $component $values) -}}
{{- end -}}
{{- if gt (include "vitrine.bytes" .Values.triton.sharedMemory | int64) (include "vitrine.bytes" .Values.triton.resources.limits.memory | int64) -}}
{{- fail (printf "triton.sharedMemory %s counts as memory of the pod, and triton.resources.limits.memory is %s" .Values.triton.sharedMemory (toString .Values.triton.resources.limits.memory)) -}}
{{- end -}}
{{- end -}}

{{/* A secret in clear stands in the release, in every dump of the object, and in the values. */}}
{{- define "vitrine.checkEnvironment" -}}
{{- $component := index . 0 -}}
{{- range (index . 1).extraEnv -}}
{{- $value := default "" .value -}}
{{- if and $value (or (regexMatch "(?i)(token|password|passwd|secret|api_?key|credentials?)$" .name) (regexMatch "://[^/@[:space:]]+:[^/@[:space:]]+@" $value)) -}}
{{- fail (printf "%s.extraEnv: %s would hold a secret in clear: give it by valueFrom.secretKeyRef, or by a file (..._FILE) of a Secret in extraVolumes" $component .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Cores in thousandths. */}}
{{- define "vitrine.milli" -}}
{{- $text := toString . -}}
{{- if hasSuffix "m" $text -}}
{{- trimSuffix "m" $text | int64 -}}
{{- else -}}
{{- mulf 1000 (float64 $text) | int64 -}}
{{- end -}}
{{- end -}}

{{/*
Settings that bound each other, as the services hold them; the defaults are those of their settings.py, and a test holds
the two against each other.
*/}}
{{- define "vitrine.settingBounds" -}}
gateway:
  - { least: default_deadline_ms, most: max_deadline_ms, defaults: [5000, 30000] }
  - { least: rewrite_budget_floor_ms, most: rewrite_budget_ms, defaults: [50, 150] }
  - { least: converse_budget_floor_ms, most: converse_budget_ms, defaults: [300, 800] }
  - { least: max_message_bytes, most: max_request_bytes, defaults: [12000000, 32000000] }
  - { least: max_message_bytes, most: max_ingest_bytes, defaults: [12000000, 32000000] }
  - { least: initial_concurrency, most: max_concurrency, defaults: [16, 64] }
rewriter:
  - { least: default_timeout_ms, most: max_timeout_ms, defaults: [1000, 10000] }
speech:
  - { least: default_timeout_ms, most: max_timeout_ms, defaults: [10000, 30000] }
{{- end -}}

{{- define "vitrine.checkSettings" -}}
{{- range $component, $bounds := include "vitrine.settingBounds" . | fromYaml -}}
{{- $set := index $.Values $component "settings" -}}
{{- range $bounds -}}
{{- $least := dig .least (index .defaults 0) $set | int64 -}}
{{- $most := dig .most (index .defaults 1) $set | int64 -}}
{{- if gt $least $most -}}
{{- fail (printf "%s.settings: %s %d is above %s %d" $component .least $least .most $most) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $set := .Values.gateway.settings -}}
{{- $turns := add (dig "history_last_turns" 10 $set | int64) (dig "history_similar_turns" 5 $set | int64) -}}
{{- if gt $turns 50 -}}
{{- fail (printf "gateway.settings: history_last_turns and history_similar_turns are %d together, and may be 50" $turns) -}}
{{- end -}}
{{- end -}}
