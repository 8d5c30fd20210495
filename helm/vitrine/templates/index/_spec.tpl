{{/* A container of the index Job: what it calls, and as whom. */}}
{{- define "vitrine.indexContainer" -}}
{{- $component := list . "index" .Values.index -}}
{{- $index := .Values.index -}}
{{- $token := $index.tokenSecret.name -}}
{{- $ca := .Values.access.tls.secret -}}
{{- include "vitrine.container" $component }}
env:
  - { name: HOME, value: /tmp }
  {{- if $token }}
  - { name: VITRINE_TOKEN_FILE, value: {{ printf "/etc/vitrine/token/%s" $index.tokenSecret.key | quote }} }
  {{- end }}
  {{- if $ca }}
  - { name: VITRINE_CA, value: /etc/vitrine/ca/ca.crt }
  # The certificate has the names of the Services that others call.
  - { name: VITRINE_SERVER_NAME, value: {{ include "vitrine.name" (list . "catalogue") }} }
  {{- end }}
  {{- if $index.clientSecret }}
  - { name: VITRINE_CERT, value: /etc/vitrine/client/tls.crt }
  - { name: VITRINE_KEY, value: /etc/vitrine/client/tls.key }
  {{- end }}
  {{- if and $token (not $ca) }}
  - { name: VITRINE_TOKEN_IN_CLEAR, value: "1" }
  {{- end }}
  {{- with $index.extraEnv }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with $index.extraEnvFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - { name: tmp, mountPath: /tmp }
  - { name: catalogue, mountPath: /catalogue, readOnly: true }
  {{- if $token }}
  {{- include "vitrine.secretMount" "token" | nindent 2 }}
  {{- end }}
  {{- if $ca }}
  {{- include "vitrine.secretMount" "ca" | nindent 2 }}
  {{- end }}
  {{- if $index.clientSecret }}
  {{- include "vitrine.secretMount" "client" | nindent 2 }}
  {{- end }}
  {{- with $index.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* After a roll-back to encoders whose index is kept: that one is put back at once, before what is missing is added. */}}
{{- define "vitrine.restoreContainer" -}}
- name: restore
  args:
    - restore
    - --if-unserved
    - --address={{ include "vitrine.name" (list . "index") }}:7702
    - --wait={{ .Values.index.waitSeconds }}
    - --timeout=60
  {{- include "vitrine.indexContainer" . | nindent 2 }}
{{- end -}}

{{/* What the index Job runs, for the Job of this moment and for those of the schedule. */}}
{{- define "vitrine.indexSpec" -}}
{{- $component := list . "index" .Values.index -}}
{{- $index := .Values.index -}}
{{- $token := $index.tokenSecret.name -}}
{{- $ca := .Values.access.tls.secret -}}
{{- $claim := required "index.catalogue.existingClaim is needed: the claim that holds the catalogue and its pictures" $index.catalogue.existingClaim -}}
# Indexing resumes where it stopped, so a retry is cheap.
backoffLimit: 6
activeDeadlineSeconds: {{ add $index.waitSeconds $index.timeoutSeconds }}
{{- if ge (int $index.ttlSecondsAfterFinished) 0 }}
ttlSecondsAfterFinished: {{ $index.ttlSecondsAfterFinished }}
{{- end }}
template:
  metadata:
    labels:
      {{- include "vitrine.podLabels" $component | nindent 6 }}
    annotations:
      vitrine/revision: {{ $index.revision | quote }}
      {{- if $index.rebuildIfStale }}
      # Other encoders, another Job: it finds out whether the index is theirs.
      vitrine/encoders: {{ list (pick .Values.triton "image" "modelRepository") (pick .Values.triton.next "enabled" "image" "modelRepository") | toJson | sha256sum }}
      {{- end }}
      {{- with $index.podAnnotations }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
  spec:
    {{- $restore := list }}
    {{- if $index.rebuildIfStale }}
    {{- $restore = include "vitrine.restoreContainer" . | fromYamlArray }}
    {{- end }}
    {{- include "vitrine.pod" (append $component $restore) | nindent 4 }}
    restartPolicy: OnFailure
    containers:
      - name: index
        args:
          - index
          - {{ printf "/catalogue/%s" $index.catalogue.path | quote }}
          # Gateways of this revision alone, ready or not: others may not know of its encoders.
          - --address={{ include "vitrine.name" $component }}:7702
          - --wait={{ $index.waitSeconds }}
          - --timeout={{ $index.timeoutSeconds }}
          {{- with $index.catalogue.schema }}
          - {{ printf "--schema=/catalogue/%s" . | quote }}
          {{- end }}
          {{- if $index.rebuild }}
          - --rebuild
          {{- end }}
          {{- if $index.rebuildIfStale }}
          - --rebuild-if-stale
          {{- end }}
          {{- range $index.extraArgs }}
          - {{ . | quote }}
          {{- end }}
        {{- include "vitrine.indexContainer" . | nindent 8 }}
    volumes:
      - name: tmp
        emptyDir: { sizeLimit: 64Mi }
      - name: catalogue
        persistentVolumeClaim: { claimName: {{ $claim }}, readOnly: true }
      {{- if $token }}
      {{- include "vitrine.secretVolume" (list "token" $token) | nindent 6 }}
      {{- end }}
      {{- with $index.clientSecret }}
      {{- include "vitrine.secretVolume" (list "client" .) | nindent 6 }}
      {{- end }}
      {{- if $ca }}
      # The authority alone: the key is the gateway's.
      - name: ca
        secret: { secretName: {{ $ca }}, defaultMode: 0440, items: [{ key: ca.crt, path: ca.crt }] }
      {{- end }}
      {{- with $index.extraVolumes }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- end -}}
