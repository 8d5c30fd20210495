{{/* Matchers of the series of this release: those that its PodMonitors scrape, or a value's. Call with (list . "name of the value" .Values.the.value). */}}
{{- define "vitrine.series" -}}
{{- $root := index . 0 -}}
{{- if index . 2 -}}
{{- index . 2 -}}
{{- else if $root.Values.podMonitor.enabled -}}
job=~"{{ $root.Release.Namespace }}/{{ include "vitrine.fullname" $root }}-.+"
{{- else -}}
{{- fail (printf "%s is needed: without podMonitor.enabled nothing says which series are of this release; give their matchers, such as namespace=\"search\"" (index . 1)) -}}
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

{{/*
How fast pods come and go. Up: double in a minute, since a peak is there before its pods are. Down: not before ten minutes without
a wish for more, and one pod in two minutes, since a pod that was too much costs little and one that is missed is back only
after its image, its models and its warm-up; a Triton takes minutes for that, so it stays for twenty. Call with the component.
*/}}
{{- define "vitrine.usualScaling" -}}
scaleUp:
  stabilizationWindowSeconds: 30
  policies:
    - { type: Percent, value: 100, periodSeconds: 60 }
scaleDown:
  stabilizationWindowSeconds: {{ ternary 1200 600 (eq . "triton") }}
  policies:
    - { type: Pods, value: 1, periodSeconds: 120 }
{{- end -}}

{{/* That, with what the values say otherwise. Call with a component and its values. */}}
{{- define "vitrine.scalingBehavior" -}}
{{- $own := fromYaml (include "vitrine.usualScaling" (index . 0)) -}}
{{- mergeOverwrite $own (index . 1).autoscaling.behavior | toYaml -}}
{{- end -}}
