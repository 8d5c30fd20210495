{{/* Every name, label and shared piece of a pod is written here, once. */}}

{{- define "vitrine.chart" -}}
{{- default .Chart.Name .Values.nameOverride -}}
{{- end -}}

{{/* What the names of all objects begin with; two long releases that begin alike differ by what stands for the rest. */}}
{{- define "vitrine.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $chart := include "vitrine.chart" . -}}
{{- $name := ternary .Release.Name (printf "%s-%s" .Release.Name $chart) (contains $chart .Release.Name) -}}
{{- if gt (len $name) 40 -}}
{{- printf "%s-%s" (trunc 33 $name | trimSuffix "-") (sha256sum $name | trunc 6) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of a component's objects. Call with (list . "gateway"). */}}
{{- define "vitrine.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s" (include "vitrine.fullname" $root) (index . 1) -}}
{{- end -}}

{{/*
The name of the index Job: what it runs decides it, never the release's revision. A Job's pods cannot be changed, and one
that has run is not run again (docs/decisions/0057-the-index-jobs-name-is-what-it-runs.md).
*/}}
{{- define "vitrine.jobName" -}}
{{- printf "%s-%s" (include "vitrine.name" (list . "index")) (include "vitrine.indexSpec" . | fromYaml | toJson | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "vitrine.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "vitrine.chart" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "vitrine.labels" -}}
{{- $root := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
{{ include "vitrine.selectorLabels" . }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels of a component's pods: nothing that another version of the chart alone would change, for that rolls them. */}}
{{- define "vitrine.podLabels" -}}
{{ include "vitrine.selectorLabels" . }}
{{- with mergeOverwrite dict (index . 0).Values.commonLabels (index . 2).podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* An image by digest where one is given, else by tag, else by the chart's version of the application. */}}
{{- define "vitrine.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := dig "imageRegistry" "" ($root.Values.global | default dict) -}}
{{- $repository := ternary (printf "%s/%s" $registry $image.repository) $image.repository (ne $registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{/* What a component's own container begins with. Call with (list . "gateway" .Values.gateway). */}}
{{- define "vitrine.container" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
image: {{ include "vitrine.image" (list $root $values.image) }}
{{- with $values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  {{- toYaml $root.Values.containerSecurityContext | nindent 2 }}
resources:
  {{- toYaml $values.resources | nindent 2 }}
{{- end -}}

{{/* The environment of a service: its ConfigMap, and what the values add. */}}
{{- define "vitrine.serviceEnvironment" -}}
{{- $values := index . 2 -}}
envFrom:
  - configMapRef:
      name: {{ include "vitrine.name" . }}
  {{- with $values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A component's account; none where the values name one that is there. */}}
{{- define "vitrine.accountName" -}}
{{- $account := (index . 2).serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (include "vitrine.name" .) -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.name is needed: with create=false it is an account that is there" (index . 1)) $account.name -}}
{{- end -}}
{{- end -}}

{{- define "vitrine.account" -}}
{{- $account := (index . 2).serviceAccount -}}
{{- if $account.create -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "vitrine.accountName" . }}
  labels:
    {{- include "vitrine.labels" . | nindent 4 }}
  {{- with $account.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end -}}

{{- define "vitrine.budget" -}}
{{- $budget := (index . 2).pdb -}}
{{- if $budget.enabled -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "vitrine.name" . }}
  labels:
    {{- include "vitrine.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $budget.maxUnavailable }}
  # A pod that is not ready serves nobody: it never stands in the way of a drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "vitrine.selectorLabels" . | nindent 6 }}
{{- end -}}
{{- end -}}

{{/* How many pods a deployment has, and how they are exchanged. */}}
{{- define "vitrine.scale" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
revisionHistoryLimit: {{ $root.Values.revisionHistoryLimit }}
{{- if not $values.autoscaling.enabled }}
replicas: {{ $values.replicas }}
{{- else }}
{{- with include "vitrine.liveReplicas" . }}
replicas: {{ . }}
{{- end }}
{{- end }}
strategy:
  rollingUpdate: { maxSurge: {{ $values.strategy.maxSurge }}, maxUnavailable: {{ $values.strategy.maxUnavailable }} }
{{- end -}}

{{/*
The number of pods beside an autoscaler (docs/decisions/0058-an-autoscaler-finds-the-pods-that-run.md): those that run, at
least minReplicas; nothing where there are none yet, or where Helm 4 finds that another manager owns the number.
*/}}
{{- define "vitrine.liveReplicas" -}}
{{- $root := index . 0 -}}
{{- $live := lookup "apps/v1" "Deployment" $root.Release.Namespace (include "vitrine.name" .) -}}
{{- if $live -}}
{{- $owned := false -}}
{{- range dig "metadata" "managedFields" list $live -}}
{{- if and (hasKey (dig "fieldsV1" "f:spec" dict .) "f:replicas") (not (has .manager (list "helm" "helm-controller"))) -}}
{{- $owned = true -}}
{{- end -}}
{{- end -}}
{{- if not (and $owned (semverCompare ">=4.0.0-0" $root.Capabilities.HelmVersion.Version)) -}}
{{- max (dig "spec" "replicas" 1 $live | int) (int (index . 2).autoscaling.minReplicas) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What pulls images: the chart's Secrets, and those of the charts around it. */}}
{{- define "vitrine.pullSecrets" -}}
{{- with concat .Values.imagePullSecrets (dig "imagePullSecrets" list (.Values.global | default dict)) -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* What every pod has in common. Call with (list . "gateway" .Values.gateway), and with init containers of the chart's own. */}}
{{- define "vitrine.pod" -}}
{{- $root := index . 0 -}}
{{- $values := index . 2 -}}
serviceAccountName: {{ include "vitrine.accountName" . }}
automountServiceAccountToken: false
# Variables that Kubernetes makes of service names would look like unknown settings.
enableServiceLinks: false
{{- include "vitrine.pullSecrets" $root | nindent 0 }}
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $own := index (append . list) 3 -}}
{{- with concat $own $values.extraInitContainers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Replicas are spread over zones and nodes as far as there are any, unless the values say otherwise. */}}
{{- define "vitrine.spread" -}}
topologySpreadConstraints:
  {{- with (index . 2).topologySpreadConstraints }}
  {{- toYaml . | nindent 2 }}
  {{- else }}
  {{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "vitrine.selectorLabels" $ | nindent 8 }}
  {{- end }}
  {{- end }}
{{- end -}}

{{/* A setting's value as the text of an environment variable; large numbers keep their digits. */}}
{{- define "vitrine.settingText" -}}
{{- if kindIs "string" . }}{{ . | quote }}{{ else }}{{ toJson . | quote }}{{ end -}}
{{- end -}}

{{/* Seconds that a pod may take to end: at least what its parts add up to. Call with (list . "gateway" values least). */}}
{{- define "vitrine.grace" -}}
{{- $least := index . 3 | int -}}
{{- $set := int (index . 2).terminationGracePeriodSeconds -}}
{{- if and $set (lt $set $least) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds %d is too short: its drain, its grace and a margin are %d seconds" (index . 1) $set $least) -}}
{{- end -}}
{{- max $set $least -}}
{{- end -}}

{{/* The drain of a service, its grace, and a margin for what surrounds them. Call with its settings. */}}
{{- define "vitrine.drainSeconds" -}}
{{- addf (.drain_s | default 5) (.grace_s | default 10) 10 | ceil | int -}}
{{- end -}}

{{/* A quantity of memory in bytes. */}}
{{- define "vitrine.bytes" -}}
{{- if kindIs "string" . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[a-zA-Z]*$" .)) | int64 -}}
{{- else -}}
{{- int64 . -}}
{{- end -}}
{{- end -}}

{{/* The memory that a gateway's settings may come to, as gateway/assembly/footprint.py has it; a test holds the two against each other. */}}
{{- define "vitrine.gatewayMemory" -}}
{{- $set := .Values.gateway.settings -}}
{{- $messages := mul (dig "max_receiving" 16 $set | int64) (dig "max_message_bytes" 12000000 $set | int64) -}}
{{- $requests := mul 4 (add (dig "max_request_bytes" 32000000 $set | int64) (dig "max_ingest_bytes" 32000000 $set | int64)) -}}
{{- $windows := mul 65536 (dig "max_concurrent_calls" 512 $set | int64) -}}
{{- $sessions := ternary 0 (dig "max_session_bytes" 256000000 $set | int64) (ne .Values.gateway.sessions.urlSecret.name "") -}}
{{- $rows := mul 4000 (add (dig "embedding_cache_entries" 10000 $set | int64) (dig "product_cache_entries" 10000 $set | int64)) -}}
{{- $readings := mul 4000 (dig "rewrite_cache_entries" 10000 $set | int64) -}}
{{- $sells := ne .Values.gateway.campaigns.urlSecret.name "" -}}
{{- $results := mul (ternary 336000 80000 $sells) (dig "result_cache_entries" 128 $set | int64) -}}
{{- add 200000000 $messages $requests $windows $sessions $rows $readings $results (ternary 84000000 0 $sells) -}}
{{- end -}}

{{/* Refuse settings that may come to more memory than the gateway's pod has: it would refuse to start. */}}
{{- define "vitrine.checkGatewayMemory" -}}
{{- $limit := dig "limits" "memory" "" .Values.gateway.resources -}}
{{- if $limit -}}
{{- $needed := include "vitrine.gatewayMemory" . | int64 -}}
{{- if gt $needed (include "vitrine.bytes" $limit | int64) -}}
{{- fail (printf "gateway.settings may come to %d bytes of memory, and gateway.resources.limits.memory is %s: raise the limit, or lower max_session_bytes, max_receiving, max_request_bytes, max_ingest_bytes or a cache" $needed (toString $limit)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The address of Milvus: the one inside the release, or the one that was given. */}}
{{- define "vitrine.milvusUri" -}}
{{- if .Values.milvus.enabled -}}
{{- printf "http://%s:19530" (include "vitrine.name" (list . "milvus")) -}}
{{- else -}}
{{- required "milvus.uri is needed: the address of your Milvus (2.6.19 or later), such as http://milvus.search.svc:19530; or set milvus.enabled=true for a small one inside this release" .Values.milvus.uri -}}
{{- end -}}
{{- end -}}

{{/* The port of a URL; the scheme's own where it names none. */}}
{{- define "vitrine.urlPort" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (ternary "443" "80" (eq $url.scheme "https")) -}}
{{- end -}}

{{/* The port that the client of Milvus dials: 19530 where the URL names none, but for https. */}}
{{- define "vitrine.milvusPort" -}}
{{- $uri := include "vitrine.milvusUri" . -}}
{{- $port := regexFind ":[0-9]+$" (urlParse $uri).host | trimPrefix ":" -}}
{{- $port | default (ternary "443" "19530" (hasPrefix "https" $uri)) -}}
{{- end -}}

{{/* Peers of a network policy: the pods of one component. Call with (list . "gateway"). */}}
{{- define "vitrine.peer" -}}
- podSelector:
    matchLabels:
      {{- include "vitrine.selectorLabels" . | nindent 6 }}
{{- end -}}

{{/* Whoever scrapes metrics. */}}
{{- define "vitrine.scrapers" -}}
{{- toYaml .Values.networkPolicy.scrapers -}}
{{- end -}}

{{/* Names are looked up in the cluster's DNS, or in its cache on the node. */}}
{{- define "vitrine.dnsEgress" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns.peers | nindent 4 }}
  ports:
    {{- range .Values.networkPolicy.dns.ports }}
    - { protocol: UDP, port: {{ . }} }
    - { protocol: TCP, port: {{ . }} }
    {{- end }}
{{- end -}}

{{/* Peers behind a URL: those that are given, else read from its host. Call with (list . URL "milvus"). */}}
{{- define "vitrine.urlPeers" -}}
{{- $root := index . 0 -}}
{{- $host := (urlParse (index . 1)).host | regexFind "^[^:]+" -}}
{{- $key := index . 2 -}}
{{- $inside := regexFind "[^.]+[.]svc([.].*)?$" $host -}}
{{- with index $root.Values.networkPolicy.egress $key -}}
{{- toYaml . -}}
{{- else -}}
{{- if regexMatch "^[0-9]+([.][0-9]+){3}$" $host -}}
- ipBlock: { cidr: {{ $host }}/32 }
{{- else if $inside -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ regexFind "^[^.]+" $inside }}
{{- else if and $host (not (contains "." $host)) -}}
- podSelector: {}
{{- else -}}
{{- fail (printf "networkPolicy.egress.%s is needed: nothing in the cluster says whom %s means; give its peers, such as [{ipBlock: {cidr: 203.0.113.7/32}}]" $key (default "its address" $host)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The way to the collector of spans; nothing where there is none. */}}
{{- define "vitrine.tracesEgress" -}}
{{- with .Values.traces.endpoint -}}
- ports: [{ port: {{ include "vitrine.urlPort" . }} }]
  to:
    {{- include "vitrine.urlPeers" (list $ . "traces") | nindent 4 }}
{{- end -}}
{{- end -}}

{{/* Whether tokens, certificates or a mesh say who calls; refuses values that leave it open without saying so. */}}
{{- define "vitrine.checkAccess" -}}
{{- $access := .Values.access -}}
{{- $mesh := .Values.gateway.settings.mesh_header -}}
{{- if and (not $access.callers.name) (not (has "anybody-may-call" $access.open)) -}}
{{- fail "access.callers.name is needed: the Secret with the file of callers that `vitrine token new` writes; or access.open={anybody-may-call} says that whoever reaches the gateway may search, write and delete" -}}
{{- end -}}
{{- if and $access.callers.name (not $access.tls.secret) (not $mesh) (not (has "tokens-in-clear" $access.open)) -}}
{{- fail "access.tls.secret is needed: the Secret with the gateway's certificate; or access.open={tokens-in-clear} says that tokens may go without TLS of the gateway's own" -}}
{{- end -}}
{{- if and $access.tls.clientCertificates (not $access.tls.secret) -}}
{{- fail "access.tls.clientCertificates needs access.tls.secret" -}}
{{- end -}}
{{- if and .Values.index.enabled $access.callers.name (not .Values.index.tokenSecret.name) (not $mesh) -}}
{{- fail "index.tokenSecret.name is needed: the Secret with the token of the index Job" -}}
{{- end -}}
{{- if and (or $access.trust.triton $access.trust.rewriter $access.trust.speech $access.trust.milvus $access.trust.sessions) (not $access.trust.secret) -}}
{{- fail "access.trust.secret is needed: the Secret with the keys that access.trust names" -}}
{{- end -}}
{{- end -}}

{{/* The sum of a configuration, without the labels around it: a changed one rolls the pods that read it. */}}
{{- define "vitrine.checksum" -}}
{{- $root := index . 0 -}}
{{- $file := printf "%s/%s/configmap.yaml" $root.Template.BasePath (index . 1) -}}
{{- (fromYaml (include $file $root)).data | toJson | sha256sum -}}
{{- end -}}

{{/* By this label the index Job finds the gateways that have this revision's settings. */}}
{{- define "vitrine.settingsLabel" -}}
vitrine/settings: {{ include "vitrine.checksum" (list . "gateway") | trunc 16 | quote }}
{{- end -}}

{{/* A volume of a Secret; the pods' group may read it. Call with (list "tls" "name of the Secret"). */}}
{{- define "vitrine.secretVolume" -}}
- name: {{ index . 0 }}
  secret: { secretName: {{ index . 1 }}, defaultMode: 0440 }
{{- end -}}

{{/* Where a volume of a Secret is mounted. Call with the volume's name. */}}
{{- define "vitrine.secretMount" -}}
- { name: {{ . }}, mountPath: /etc/vitrine/{{ . }}, readOnly: true }
{{- end -}}

{{/* The Secrets of the gateway, as volume: Secret. */}}
{{- define "vitrine.gatewaySecrets" -}}
{{- $access := .Values.access -}}
{{- $secrets := dict "callers" $access.callers.name "tls" $access.tls.secret "trust" $access.trust.secret "client" $access.clientSecret "milvus" .Values.milvus.tokenSecret.name "sessions" .Values.gateway.sessions.urlSecret.name "events" .Values.gateway.events.urlSecret.name "campaigns" .Values.gateway.campaigns.urlSecret.name -}}
{{- range $volume, $secret := $secrets }}
{{- if $secret }}
{{ $volume }}: {{ $secret }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What a Service says of its port to balancers. Call with the Secret of TLS. */}}
{{- define "vitrine.appProtocol" -}}
{{- ternary "https" "kubernetes.io/h2c" (ne . "") -}}
{{- end -}}

{{/* What a command line needs besides the address, in the notes. */}}
{{- define "vitrine.noteAccess" -}}
{{- if .Values.access.callers.name }} --token-file TOKEN{{ end }}
{{- if .Values.access.tls.secret }} --ca CA.CRT --server-name NAME-IN-THE-CERTIFICATE{{ end }}
{{- end -}}

{{/* What the second Triton of a change of encoders runs with: all of the first one but its models and their number. */}}
{{- define "vitrine.tritonNext" -}}
{{- $shared := deepCopy (omit .Values.triton "next" "image" "modelRepository" "replicas" "autoscaling") -}}
{{- if $shared.serviceAccount.name -}}
{{- $_ := set $shared.serviceAccount "create" false -}}
{{- end -}}
{{- toYaml (merge $shared (omit .Values.triton.next "enabled") (dict "autoscaling" (dict "enabled" false))) -}}
{{- end -}}

{{/* The container that fetches a model repository before Triton starts. Call with (list . "triton" values). */}}
{{- define "vitrine.fetchModels" -}}
{{- $root := index . 0 -}}
{{- $triton := index . 2 -}}
{{- $models := $triton.modelRepository -}}
- name: models
  image: {{ include "vitrine.image" (list $root $triton.image) }}
  {{- with $triton.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  securityContext:
    {{- toYaml $root.Values.containerSecurityContext | nindent 4 }}
  command: [python3, -m, vitrine.repository_fetch]
  args:
    - {{ $models.url | quote }}
    - /store/models
    - --sha256={{ $models.sha256 }}
    - --max-bytes={{ include "vitrine.bytes" $models.size }}
    {{- if $models.tokenSecret.name }}
    - --token-file=/etc/vitrine/models-token/{{ $models.tokenSecret.key }}
    {{- end }}
  {{- if $models.caSecret }}
  env:
    - { name: SSL_CERT_FILE, value: /etc/vitrine/models-ca/ca.crt }
  {{- end }}
  resources:
    requests: { cpu: 100m, memory: 128Mi }
    limits: { memory: 256Mi }
  volumeMounts:
    - { name: models, mountPath: /store }
    {{- if $models.tokenSecret.name }}
    {{- include "vitrine.secretMount" "models-token" | nindent 4 }}
    {{- end }}
    {{- if $models.caSecret }}
    {{- include "vitrine.secretMount" "models-ca" | nindent 4 }}
    {{- end }}
{{- end -}}
