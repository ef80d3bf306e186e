{{- define "insights-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects. A StatefulSet puts a dash and ten characters behind it in a label, which takes 63. */}}
{{- define "insights-exporter.fullname" -}}
{{- $name := include "insights-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The name is constant: the ServiceMonitor makes the job of it, which the alerts know. */}}
{{- define "insights-exporter.selectorLabels" -}}
app.kubernetes.io/name: insights-exporter
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "insights-exporter.labels" -}}
{{ include "insights-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{- define "insights-exporter.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "insights-exporter.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "insights-exporter.image" -}}
{{- $repository := required "image.repository is missing: there is no published image yet; build one, push it, and write --set image.repository=REGISTRY/insights-exporter" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" $repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The configuration as text. */}}
{{- define "insights-exporter.config" -}}
{{- if not .Values.config -}}
{{- .Files.Get "files/config.yaml" -}}
{{- else if kindIs "string" .Values.config -}}
{{- .Values.config -}}
{{- else -}}
{{- toYaml .Values.config -}}
{{- end -}}
{{- end -}}

{{/* The variables from the Secret. A list is the usual form, because Helm would merge a mapping into the default one. */}}
{{- define "insights-exporter.envOfSecret" -}}
{{- with .Values.existingSecret }}
{{- $variables := list -}}
{{- if kindIs "map" .env -}}
{{- range $name, $key := .env -}}
{{- if $key -}}
{{- $variables = append $variables (dict "name" $name "key" $key) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $variables = .env -}}
{{- end -}}
{{- if and .name $variables -}}
{{- range $variables }}
- name: {{ .name | quote }}
  valueFrom: {secretKeyRef: {name: {{ $.Values.existingSecret.name | quote }}, key: {{ .key | quote }}}}
{{- end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* A rule file's groups. In a PrometheusRule an expression is an integer or text, where Prometheus takes fractions. */}}
{{- define "insights-exporter.groups" -}}
{{- $groups := (fromYaml .).groups -}}
{{- range $group := $groups -}}
{{- range $rule := $group.rules -}}
{{- if kindIs "float64" $rule.expr -}}
{{- if eq (floor $rule.expr) $rule.expr -}}
{{- $_ := set $rule "expr" (int64 $rule.expr) -}}
{{- else -}}
{{- $_ := set $rule "expr" (toString $rule.expr) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $groups -}}
{{- end -}}
