{{/* Matchers of the series of this release: those that its PodMonitors scrape, or what prometheusRule.series says. */}}
{{- define "vitrine.series" -}}
{{- if .Values.prometheusRule.series -}}
{{- .Values.prometheusRule.series -}}
{{- else if .Values.podMonitor.enabled -}}
job=~"{{ .Release.Namespace }}/{{ include "vitrine.fullname" . }}-.+"
{{- else -}}
{{- fail "prometheusRule.series is needed: without podMonitor.enabled nothing says which series are of this release; give their matchers, such as namespace=\"search\"" -}}
{{- end -}}
{{- end -}}

{{/* Matchers of the series that the rules record. */}}
{{- define "vitrine.recorded" -}}
release="{{ .Release.Namespace }}/{{ include "vitrine.fullname" . }}"
{{- end -}}

{{/* The bound of a histogram's bucket as the metrics write it: 0.25, 1.0. */}}
{{- define "vitrine.bucket" -}}
{{- $text := toString . -}}
{{- ternary $text (printf "%s.0" $text) (contains "." $text) -}}
{{- end -}}

{{/* Labels and annotations of an alert. Call with (list . "VitrineName" "critical" "summary"); a fifth is one more label. */}}
{{- define "vitrine.alert" -}}
{{- $root := index . 0 -}}
labels:
  severity: {{ index . 2 }}
  {{ include "vitrine.recorded" $root | replace "=" ": " }}
  {{- if gt (len .) 4 }}
  {{ index . 4 }}
  {{- end }}
annotations:
  summary: {{ index . 3 | squote }}
  runbook_url: {{ printf "%s#%s" $root.Values.prometheusRule.runbooks (index . 1 | lower) | quote }}
{{- end -}}
